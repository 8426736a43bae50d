package org.mobilecv.core

/**
 * Rules 4 to 6 of the geometry in `mobilecv_runtime/images.py`: from an upright sRGB photo to the
 * bytes that every artifact takes. Nothing is normalised; the artifacts do that themselves.
 *
 * @param photo Upright, 3 channels, 0..255.
 * @return (height, width, channels) of [image] without a gap, 0..255.
 */
fun prepare(photo: Pixels, image: ImageInput): ByteArray {
    require(photo.channels == 3) { "a photo with ${photo.channels} channels" }
    return when (image.fit) {
        Fit.CROP -> photo.within(cropBox(photo.width, photo.height, image)).inColor(image).sized(image)
        Fit.STRETCH -> photo.inColor(image).sized(image)
        Fit.PAD -> photo.inColor(image).framed(image)
    }
}

private fun Pixels.sized(image: ImageInput): ByteArray =
    resampled(image.width, image.height, image.filter).packed()

private fun Pixels.framed(image: ImageInput): ByteArray {
    val box = paddedBox(width, height, image)
    val inner = resampled(box.width, box.height, image.filter)
    val frame = ByteArray(image.byteCount)
    val rowBytes = box.width * channels
    for (y in 0 until box.height) {
        val to = ((box.top + y) * image.width + box.left) * channels
        inner.bytes.copyInto(frame, to, inner.index(0, y), inner.index(0, y) + rowBytes)
    }
    return frame
}

private fun Pixels.inColor(image: ImageInput): Pixels = if (image.channels == 1) gray() else this

/** Rule 4: ITU-R BT.601-2 luma in 16-bit fixed point, as Pillow's `convert("L")`. */
internal fun Pixels.gray(): Pixels {
    val result = ByteArray(width * height)
    var at = 0
    for (y in 0 until height) {
        var from = index(0, y)
        repeat(width) {
            val red = bytes[from].toInt() and 0xFF
            val green = bytes[from + 1].toInt() and 0xFF
            val blue = bytes[from + 2].toInt() and 0xFF
            result[at++] = ((19595 * red + 38470 * green + 7471 * blue + 0x8000) shr 16).toByte()
            from += 3
        }
    }
    return Pixels(width, height, 1, result)
}
