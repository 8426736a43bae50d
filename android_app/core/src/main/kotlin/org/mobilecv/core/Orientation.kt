package org.mobilecv.core

/**
 * Rule 2: how a stored picture is turned upright.
 *
 * The names say what is done to the stored picture; the numbers are the values of the EXIF tag
 * 0x0112 (Exif 2.3, 4.6.4 A "Orientation"), and the operations are those of Pillow's
 * `ImageOps.exif_transpose`.
 */
enum class Orientation(internal val exif: Int, private val swapsSides: Boolean) {
    UPRIGHT(1, false),
    MIRROR(2, false),
    TURN_HALF(3, false),
    FLIP(4, false),
    TRANSPOSE(5, true),
    TURN_RIGHT(6, true),
    TRANSVERSE(7, true),
    TURN_LEFT(8, true),
    ;

    /** A turned copy, or [stored] itself where nothing is to do. */
    fun apply(stored: Pixels): Pixels {
        if (this == UPRIGHT) return stored
        val width = if (swapsSides) stored.height else stored.width
        val height = if (swapsSides) stored.width else stored.height
        val channels = stored.channels
        val result = ByteArray(width * height * channels)
        val start = stored.source(0, 0)
        val right = stored.source(1, 0) - start
        val down = stored.source(0, 1) - start
        var at = 0
        for (y in 0 until height) {
            var from = start + y * down
            repeat(width) {
                for (channel in 0 until channels) result[at++] = stored.bytes[from + channel]
                from += right
            }
        }
        return Pixels(width, height, channels, result)
    }

    /** Where the pixel that comes to stand at ([x], [y]) is stored; linear in both. */
    private fun Pixels.source(x: Int, y: Int): Int {
        val right = width - 1
        val bottom = height - 1
        return when (this@Orientation) {
            UPRIGHT -> index(x, y)
            MIRROR -> index(right - x, y)
            TURN_HALF -> index(right - x, bottom - y)
            FLIP -> index(x, bottom - y)
            TRANSPOSE -> index(y, x)
            TURN_RIGHT -> index(y, bottom - x)
            TRANSVERSE -> index(right - y, bottom - x)
            TURN_LEFT -> index(right - y, x)
        }
    }

    companion object {
        /** By the EXIF tag; any other value counts as upright, as in Pillow. */
        fun ofExif(tag: Int): Orientation = entries.firstOrNull { it.exif == tag } ?: UPRIGHT

        /**
         * By CameraX's `rotationDegrees`: how far the frame must be turned clockwise.
         *
         * @throws IllegalArgumentException If it is not 0, 90, 180 or 270.
         */
        fun ofRotation(degrees: Int): Orientation =
            when (degrees) {
                0 -> UPRIGHT
                90 -> TURN_RIGHT
                180 -> TURN_HALF
                270 -> TURN_LEFT
                else -> throw IllegalArgumentException("a camera rotation of $degrees degrees")
            }
    }
}
