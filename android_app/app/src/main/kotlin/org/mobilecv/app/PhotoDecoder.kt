package org.mobilecv.app

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.media.ExifInterface
import android.net.Uri
import android.os.Build
import java.io.ByteArrayInputStream
import java.io.IOException
import org.mobilecv.core.Orientation
import org.mobilecv.core.Pixels

/** A photo that cannot be classified; the message is for the screen. */
internal class PhotoException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** Pillow's `Image.MAX_IMAGE_PIXELS`: what Python refuses to decode, this app refuses too. */
private const val MOST_PIXELS = 1024L * 1024 * 1024 / 4 / 3

/**
 * Rules 1 to 3 of `mobilecv_runtime/images.py`: decodes a photo, sets it upright, converts it to sRGB.
 *
 * `BitmapFactory` leaves the EXIF orientation alone on every Android version, `ImageDecoder` (Android
 * 9) applies it; so the former is used everywhere and turning is the core's, where it is tested.
 *
 * @throws PhotoException If it cannot be opened, is no image, or is too large.
 */
internal fun decodePhoto(resolver: ContentResolver, uri: Uri): Pixels {
    val file = readAll(resolver, uri)
    val bitmap = decodeBitmap(file)
    val stored = bitmap.toPixels()
    bitmap.recycle()
    return Orientation.ofExif(exifOrientation(file)).apply(stored)
}

private fun readAll(resolver: ContentResolver, uri: Uri): ByteArray =
    try {
        resolver.openInputStream(uri)?.use { it.readBytes() }
            ?: throw PhotoException("The photo cannot be opened; it may have been deleted")
    } catch (error: IOException) {
        throw PhotoException("The photo cannot be read (${error.message})", error)
    } catch (error: SecurityException) {
        throw PhotoException("Android does not let this app read the photo; pick it again", error)
    }

/** Colours are converted to sRGB and not multiplied by alpha, as Python drops alpha. */
internal fun decodeBitmap(file: ByteArray): Bitmap {
    val bounds = BitmapFactory.Options()
    bounds.inJustDecodeBounds = true
    BitmapFactory.decodeByteArray(file, 0, file.size, bounds)
    if (bounds.outWidth <= 0 || bounds.outHeight <= 0) {
        throw PhotoException("The file is no image that Android can read")
    }
    if (bounds.outWidth.toLong() * bounds.outHeight > MOST_PIXELS) {
        val size = "${bounds.outWidth} x ${bounds.outHeight}"
        throw PhotoException("The photo of $size pixels is too large; take one below 89 megapixels")
    }
    val options = BitmapFactory.Options()
    options.inPremultiplied = false
    options.inPreferredConfig = Bitmap.Config.ARGB_8888
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) {
        options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB)
    }
    return BitmapFactory.decodeByteArray(file, 0, file.size, options)
        ?: throw PhotoException("The photo is damaged: Android cannot decode it")
}

/**
 * Pixels of any bitmap: hardware ones forbid `getPixels`, so they are copied to memory first.
 *
 * `getPixels` answers in sRGB, whatever colour space the bitmap is in.
 */
internal fun Bitmap.toPixels(): Pixels {
    val readable =
        if (config == Bitmap.Config.ARGB_8888) {
            this
        } else {
            copy(Bitmap.Config.ARGB_8888, false) ?: throw PhotoException("The photo's pixels cannot be read")
        }
    return Pixels.fromArgb(readable.width, readable.height) { y, row ->
        readable.getPixels(row, 0, readable.width, 0, y, readable.width, 1)
    }
}

private fun exifOrientation(file: ByteArray): Int =
    try {
        ExifInterface(ByteArrayInputStream(file))
            .getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
    } catch (_: IOException) {
        // A format that carries no EXIF, such as GIF, stands as it is stored.
        ExifInterface.ORIENTATION_NORMAL
    }
