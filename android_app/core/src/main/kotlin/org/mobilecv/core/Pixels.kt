package org.mobilecv.core

import java.nio.ByteBuffer

/**
 * An 8-bit picture, or a box within one.
 *
 * @property bytes Rows from the top; each pixel is R, G, B, or one gray value.
 * @property channels 3 or 1.
 * @property offset Index of the first byte of the first pixel.
 * @property rowStride Bytes from one row to the next.
 */
class Pixels(
    val width: Int,
    val height: Int,
    val channels: Int,
    internal val bytes: ByteArray,
    internal val offset: Int = 0,
    internal val rowStride: Int = width * channels,
) {
    init {
        require(width > 0 && height > 0) { "a picture of $width x $height pixels" }
        require(offset + (height - 1).toLong() * rowStride + width * channels <= bytes.size) {
            "${bytes.size} bytes do not hold $width x $height pixels"
        }
    }

    /** Where the pixel of column [x] and row [y] begins in [bytes]. */
    internal fun index(x: Int, y: Int): Int = offset + y * rowStride + x * channels

    /** The same pixels seen through a box; nothing is copied. */
    internal fun within(box: Box): Pixels =
        Pixels(box.width, box.height, channels, bytes, index(box.left, box.top), rowStride)

    /** The bytes of all rows without a gap: (height, width, channels). */
    fun packed(): ByteArray {
        val rowBytes = width * channels
        if (offset == 0 && rowStride == rowBytes && bytes.size == rowBytes * height) return bytes
        val result = ByteArray(rowBytes * height)
        for (y in 0 until height) bytes.copyInto(result, y * rowBytes, index(0, y), index(0, y) + rowBytes)
        return result
    }

    companion object {
        /**
         * Colours as Android's `Bitmap.getPixels` gives them; alpha is dropped (rule 3).
         *
         * @param rows Fills an array of [width] colours, `0xAARRGGBB`, with the row of that number.
         *   One row at a time, since a phone's photo as `IntArray` would take 48 MB more.
         */
        fun fromArgb(width: Int, height: Int, rows: (y: Int, row: IntArray) -> Unit): Pixels {
            val bytes = ByteArray(width * height * 3)
            val row = IntArray(width)
            var at = 0
            for (y in 0 until height) {
                rows(y, row)
                for (color in row) {
                    bytes[at++] = (color shr 16).toByte()
                    bytes[at++] = (color shr 8).toByte()
                    bytes[at++] = color.toByte()
                }
            }
            return Pixels(width, height, 3, bytes)
        }

        /**
         * Camera frames in the order R, G, B, A, whose rows may be longer than the picture.
         *
         * @param rgba At least `(height - 1) * rowStride + width * 4` bytes from its position on;
         *   the position is left where it was. The last row need not be padded.
         * @param rowStride Bytes from one row to the next, at least `width * 4`.
         */
        fun fromRgba(width: Int, height: Int, rgba: ByteBuffer, rowStride: Int): Pixels {
            val bytes = ByteArray(width * height * 3)
            val source = rgba.duplicate()
            val start = source.position()
            val row = ByteArray(width * 4)
            var at = 0
            for (y in 0 until height) {
                source.position(start + y * rowStride)
                source.get(row)
                for (from in row.indices step 4) {
                    bytes[at++] = row[from]
                    bytes[at++] = row[from + 1]
                    bytes[at++] = row[from + 2]
                }
            }
            return Pixels(width, height, 3, bytes)
        }
    }
}
