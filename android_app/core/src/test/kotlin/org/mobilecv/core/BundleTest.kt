package org.mobilecv.core

import java.io.ByteArrayInputStream
import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/**
 * The bundle in the app's assets, read as the app reads it.
 *
 * The folder is the system property `mobilecv.assets`; an app without a model has no bundle in it.
 */
class BundleTest {
    private val folder = folderOf("mobilecv.assets")

    @Test
    fun anEmptyFolderHoldsNoBundle() {
        assertNull(Bundle.open(Files(emptyMap())))
    }

    @Test
    fun everyFileOfTheBundleIsAsItWasExported() {
        val bundle = bundle()
        assertEquals(bundle.manifest.labelCount, bundle.labels.count)
        for (artifact in bundle.artifacts) assertTrue(artifact.id, bundle.model(artifact).remaining() > 0)
    }

    @Test
    fun everyGoldenImageHasTheModelsSizeAndItsScores() {
        val bundle = bundle()
        val size = bundle.manifest.image
        val golden = bundle.golden()
        assertTrue(golden.isNotEmpty())
        for (image in golden) {
            val picture = ImageIO.read(ByteArrayInputStream(bundle.png(image)))
            assertEquals(listOf(size.width, size.height), listOf(picture.width, picture.height))
            val answer = bundle.labels.compare(image, Tolerance.of("float32"), image.scores)
            assertEquals(Verdict.AGREES, answer.verdict)
        }
    }

    @Test
    fun goldenImagesArePreparedAlready() {
        val bundle = bundle()
        val size = bundle.manifest.image
        assumeTrue("gray models get gray images", size.channels == 3)
        val picture = ImageIO.read(ByteArrayInputStream(bundle.png(bundle.golden().first())))
        val pixels =
            Pixels.fromArgb(picture.width, picture.height) { y, row ->
                picture.getRGB(0, y, row.size, 1, row, 0, row.size)
            }
        assertEquals(pixels.packed().toList(), prepare(pixels, size.whole).toList())
    }

    @Test
    fun everyChangedFileIsRefusedByName() {
        val files = Files.of(folder)
        val bundle = bundle()
        val image = bundle.golden().first()
        val manifest = bundle.manifest
        val checked = listOf(manifest.labels, manifest.golden, bundle.artifacts.first().file, image.file)
        for (path in checked.map { it.path }) {
            val changed = files.content.getValue(path).copyOf().also { it[0] = (it[0] + 1).toByte() }
            val content = Files(files.content + (path to changed))
            val error = assertThrows(BundleException::class.java) { readAll(content) }
            assertTrue(error.message!!, error.message!!.contains(path))
        }
    }

    @Test
    fun aMissingGoldenFileIsRefusedByName() {
        val path = bundle().manifest.golden.path
        val content = Files(Files.of(folder).content - path)
        val error = assertThrows(BundleException::class.java) { readAll(content) }
        assertTrue(error.message!!, error.message!!.contains("$path is missing"))
    }

    @Test
    fun aBundleWithoutTfliteSaysWhatToExport() {
        val content = Files.of(folder).content
        bundle()
        val without = content.filterKeys { !it.endsWith(".tflite") }
        val error = assertThrows(BundleException::class.java) { Bundle.open(Files(without)) }
        assertTrue(error.message!!, error.message!!.contains("--to tflite"))
    }

    private fun bundle(): Bundle {
        val bundle = Bundle.open(Files.of(folder))
        assumeTrue("no bundle in the assets: mobilecv export MODEL --to tflite --app .", bundle != null)
        return bundle!!
    }

    private fun readAll(files: BundleFiles) {
        val bundle = Bundle.open(files)!!
        bundle.golden().forEach(bundle::png)
        bundle.artifacts.forEach(bundle::model)
    }

    private class Files(val content: Map<String, ByteArray>) : BundleFiles {
        override fun has(path: String) = path in content

        override fun read(path: String): ByteBuffer = ByteBuffer.wrap(content.getValue(path))

        companion object {
            fun of(folder: File) =
                Files(
                    folder.walk().filter { it.isFile }.associate {
                        it.relativeTo(folder).invariantSeparatorsPath to it.readBytes()
                    },
                )
        }
    }
}
