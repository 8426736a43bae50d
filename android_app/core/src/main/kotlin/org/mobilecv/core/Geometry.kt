package org.mobilecv.core

/** A box in whole pixels. */
internal data class Box(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * Rule 5, `crop`: the central box, as `crop_box` in `mobilecv_runtime/images.py`.
 *
 * @param image Only its shape and its crop fraction count.
 */
internal fun cropBox(photoWidth: Int, photoHeight: Int, image: ImageInput): Box {
    val ratio =
        minOf(photoWidth.toDouble() / image.width, photoHeight.toDouble() / image.height) *
            image.cropFraction
    val width = rounded(image.width * ratio).coerceIn(1, photoWidth)
    val height = rounded(image.height * ratio).coerceIn(1, photoHeight)
    return Box((photoWidth - width) / 2, (photoHeight - height) / 2, width, height)
}

/**
 * Rule 5, `pad`: where the photo stands inside its black frame, as `padded_size` and `_fit` in
 * `mobilecv_runtime/images.py`.
 */
internal fun paddedBox(photoWidth: Int, photoHeight: Int, image: ImageInput): Box {
    val ratio = minOf(image.width.toDouble() / photoWidth, image.height.toDouble() / photoHeight)
    val width = maxOf(1, rounded(photoWidth * ratio))
    val height = maxOf(1, rounded(photoHeight * ratio))
    return Box((image.width - width) / 2, (image.height - height) / 2, width, height)
}

private fun rounded(value: Double): Int = (value + 0.5).toInt()
