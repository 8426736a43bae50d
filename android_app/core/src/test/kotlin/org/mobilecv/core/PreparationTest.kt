package org.mobilecv.core

import java.nio.ByteBuffer
import java.security.MessageDigest
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** The pixels of this port are Pillow's, to the byte. */
class PreparationTest {
    @Test
    fun everyGeometryGivesTheGoldenPixels() {
        val cases = GoldenPixels.cases.list("fits")
        assertTrue(cases.size >= 300)
        for (case in cases) {
            val image = ImageInput.read(case.inner("image"))
            val expected = GoldenPixels.at(case.count("offset", 0), image.byteCount)
            val name = case.text("photo")
            assertArrayEquals("$name, $image", expected, prepare(GoldenPixels.photo(name), image))
        }
    }

    @Test
    fun aPhoneSizedPhotoGivesTheGoldenPixels() {
        val size = GoldenPixels.cases.inner("large_photo")
        val photo = formula(size.count("width", 1), size.count("height", 1))
        for (case in GoldenPixels.cases.list("large_fits")) {
            val image = ImageInput.read(case.inner("image"))
            val start = System.nanoTime()
            val prepared = prepare(photo, image)
            val ms = (System.nanoTime() - start) / 1_000_000
            println("12 megapixels, ${image.fit} ${image.filter}: $ms ms")
            assertEquals("$image", case.text("sha256"), sha256(prepared))
        }
    }

    @Test
    fun everyOrientationStandsUpright() {
        val cases = GoldenPixels.cases.list("orientations")
        assertEquals((1..8).toList(), cases.map { it.whole("exif") })
        for (case in cases) {
            val upright = Orientation.ofExif(case.whole("exif")).apply(GoldenPixels.photo(case.text("photo")))
            assertEquals(case.whole("width"), upright.width)
            assertEquals(case.whole("height"), upright.height)
            val expected = GoldenPixels.at(case.count("offset", 0), upright.width * upright.height * 3)
            assertArrayEquals("EXIF ${case.whole("exif")}", expected, upright.packed())
        }
    }

    @Test
    fun aCameraRotationIsTheExifOrientationOfTheSameTurn() {
        val turns = mapOf(0 to 1, 90 to 6, 180 to 3, 270 to 8)
        for ((degrees, exif) in turns) assertEquals(Orientation.ofExif(exif), Orientation.ofRotation(degrees))
        assertThrows(IllegalArgumentException::class.java) { Orientation.ofRotation(45) }
    }

    @Test
    fun anUnknownExifOrientationCountsAsUpright() {
        for (tag in listOf(-1, 0, 9)) assertEquals(Orientation.UPRIGHT, Orientation.ofExif(tag))
    }

    @Test
    fun cameraFramesWithLongRowsLoseTheirPaddingAndAlpha() {
        val photo = GoldenPixels.photo("odd")
        val rowStride = photo.width * 4 + 12
        val rgba = ByteBuffer.allocateDirect((photo.height - 1) * rowStride + photo.width * 4)
        for (y in 0 until photo.height) {
            for (x in 0 until photo.width) {
                val from = photo.index(x, y)
                rgba.position(y * rowStride + x * 4)
                rgba.put(photo.bytes, from, 3).put(77)
            }
        }
        rgba.rewind()
        val frame = Pixels.fromRgba(photo.width, photo.height, rgba, rowStride)
        assertArrayEquals(photo.packed(), frame.packed())
        assertEquals(0, rgba.position())
    }

    @Test
    fun coloursOfABitmapLoseTheirAlpha() {
        val photo = GoldenPixels.photo("odd")
        val read =
            Pixels.fromArgb(photo.width, photo.height) { y, row ->
                for (x in row.indices) {
                    val from = photo.index(x, y)
                    val (red, green, blue) = List(3) { photo.bytes[from + it].toInt() and 0xFF }
                    row[x] = (0x80 shl 24) or (red shl 16) or (green shl 8) or blue
                }
            }
        assertArrayEquals(photo.packed(), read.packed())
    }

    /** `(7x + 13y + 29c + (xy mod 251)) mod 256`, as `formula` in `make_pixels.py`. */
    private fun formula(width: Int, height: Int): Pixels {
        val bytes = ByteArray(width * height * 3)
        var at = 0
        for (y in 0 until height) {
            for (x in 0 until width) {
                for (c in 0 until 3) bytes[at++] = (7 * x + 13 * y + 29 * c + x * y % 251).toByte()
            }
        }
        return Pixels(width, height, 3, bytes)
    }

    private fun sha256(bytes: ByteArray): String =
        MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
}
