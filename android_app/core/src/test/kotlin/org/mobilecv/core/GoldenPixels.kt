package org.mobilecv.core

import java.io.File

/**
 * The golden pixels that Python, Kotlin and Swift are held to; written by
 * `tests/golden/make_pixels.py` from Pillow's own arithmetic.
 *
 * The folder is the system property `mobilecv.golden`.
 */
internal object GoldenPixels {
    private val folder = folderOf("mobilecv.golden")
    private val pixels = folder.resolve("pixels.bin").readBytes()

    val cases: Fields = Fields.parse("cases.json", folder.resolve("cases.json").readBytes())

    /** The bytes at an offset. */
    fun at(offset: Int, count: Int): ByteArray = pixels.copyOfRange(offset, offset + count)

    /** A stored photo by its name. */
    fun photo(name: String): Pixels {
        val entry = cases.inner("photos").inner(name)
        val height = entry.count("height", 1)
        val width = entry.count("width", 1)
        return Pixels(width, height, 3, at(entry.count("offset", 0), height * width * 3))
    }
}

/** The folder that a system property names. */
internal fun folderOf(property: String): File =
    File(requireNotNull(System.getProperty(property)) { "-D$property=DIR is missing" })
