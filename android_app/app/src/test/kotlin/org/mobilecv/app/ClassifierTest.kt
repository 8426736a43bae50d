package org.mobilecv.app

import java.nio.ByteBuffer
import java.security.MessageDigest
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test
import org.mobilecv.app.engine.Choice
import org.mobilecv.app.engine.Engine
import org.mobilecv.app.engine.Processor
import org.mobilecv.core.Bundle
import org.mobilecv.core.BundleException
import org.mobilecv.core.BundleFiles
import org.mobilecv.core.Pixels

/** What happens between a photo and an engine. */
class ClassifierTest {
    private val bundle = checkNotNull(Bundle.open(SmallBundle))
    private val choice = Choice(bundle.artifacts.first(), Processor.CPU, threads = 1)
    private val photo = Pixels(1, 2, 3, byteArrayOf(1, 2, 3, 4, 5, 6), 0, 3)
    private val engines = mutableListOf<FakeEngine>()
    private val classifier = Classifier(bundle) { FakeEngine().also(engines::add) }

    @Test
    fun thePreparedPhotoIsFedAndTheLikeliestLabelComesFirst() {
        val answer = classifier.classify(photo, choice)
        assertArrayEquals(byteArrayOf(1, 2, 3, 4, 5, 6), engines.single().fed)
        assertArrayEquals(engines.single().fed, answer.pixels)
        assertEquals(listOf("dog", "cat"), answer.guesses.map { it.label })
    }

    @Test
    fun anArtifactIsLoadedOnceAndAnotherChoiceReplacesIt() {
        repeat(3) { classifier.classify(photo, choice) }
        assertEquals(1, engines.size)
        classifier.classify(photo, choice.copy(threads = 2))
        assertEquals(listOf(1, 0), engines.map { it.closed })
        classifier.close()
        assertEquals(listOf(1, 1), engines.map { it.closed })
    }

    @Test
    fun anArtifactThatCannotBeLoadedIsTriedOnceNotForEveryFrame() {
        var tries = 0
        val failing =
            Classifier(bundle) {
                tries++
                throw BundleException("no GPU")
            }
        repeat(3) { assertThrows(BundleException::class.java) { failing.classify(photo, choice) } }
        assertEquals(1, tries)
        failing.close()
    }

    private class FakeEngine : Engine {
        var closed = 0
        lateinit var fed: ByteArray

        override fun scores(pixels: ByteArray): FloatArray {
            fed = pixels
            return floatArrayOf(0.25f, 0.75f)
        }

        override fun close() {
            closed++
        }
    }

    /** One column of two pixels, two labels, and a model that nobody loads. */
    private object SmallBundle : BundleFiles {
        private const val LABELS = "cat\ndog\n"
        private val manifest =
            """
            {"format": "mobilecv-bundle", "version": 1, "name": "pets",
             "image": {"height": 2, "width": 1, "channels": 3,
                       "fit": "crop", "crop_fraction": 1, "resample": "bilinear"},
             "head": {"kind": "softmax"},
             "labels": {"file": "names.txt", "count": 2, "sha256": "${sha256(LABELS)}"},
             "golden": {"file": "answers.json", "sha256": ""},
             "artifacts": [{"id": "tflite", "file": "pets.tflite", "sha256": "", "precision": "float32",
                            "input": {"dtype": "float32"}, "output": {"dtype": "float32"}}]}
            """
        private val content = mapOf("mobilecv.json" to manifest, "names.txt" to LABELS, "pets.tflite" to "")

        override fun has(path: String) = path in content

        override fun read(path: String): ByteBuffer = ByteBuffer.wrap(content.getValue(path).toByteArray())

        private fun sha256(text: String): String {
            val digest = MessageDigest.getInstance("SHA-256").digest(text.toByteArray())
            return digest.joinToString("") { "%02x".format(it) }
        }
    }
}
