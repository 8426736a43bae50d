package org.mobilecv.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** From pixels to a tensor, and from a tensor to labels. */
class ScoresTest {
    private val labels = Labels.parse("labels.txt", "cat\ndog\n".toByteArray())

    @Test
    fun topScoresComeInTheGoldenOrderTiesIncluded() {
        val cases = GoldenPixels.cases.list("top_k")
        assertTrue(cases.isNotEmpty())
        for (case in cases) {
            val expected = case.floats("indices").map { it.toInt() }
            assertEquals(expected, topK(case.floats("scores"), case.whole("k")))
        }
    }

    @Test
    fun storedIntegersStandForTheGoldenValues() {
        val cases = GoldenPixels.cases.list("quantised")
        assertTrue(cases.isNotEmpty())
        for (case in cases) {
            val stored = case.floats("stored").map { it.toInt().toByte() }.toByteArray()
            val quantisation = Quantisation(case.number("scale").toFloat(), case.whole("zero_point"))
            val tensor = Tensor(case.text("dtype"), quantisation)
            val buffer = tensor.buffer(stored.size).put(stored)
            assertArrayEquals(case.floats("values"), tensor.decoded(buffer, stored.size), 0f)
        }
    }

    @Test
    fun floatInputsGetTheRawLevels() {
        val buffer = Tensor("float32", Quantisation(1f, 0)).encoded(byteArrayOf(0, 1, -128, -1))
        assertArrayEquals(floatArrayOf(0f, 1f, 128f, 255f), FloatArray(4) { buffer.getFloat() }, 0f)
    }

    @Test
    fun byteInputsGetThePhotosOwnBytes() {
        val pixels = byteArrayOf(0, 1, -128, -1)
        val buffer = Tensor("uint8", Quantisation(1f, 0)).encoded(pixels)
        assertArrayEquals(pixels, ByteArray(4) { buffer.get() })
    }

    @Test
    fun byteInputsWithAnotherScaleAreRounded() {
        val buffer = Tensor("uint8", Quantisation(2f, 3)).encoded(byteArrayOf(0, 1, 3, -1))
        // 0.5 and 1.5 steps round to the even number, as numpy.round in runners/tflite.py does.
        assertArrayEquals(byteArrayOf(3, 3, 5, 131.toByte()), ByteArray(4) { buffer.get() })
    }

    @Test
    fun anUnknownTensorTypeIsRefusedByName() {
        val nibbles = Tensor("int4", Quantisation(1f, 0))
        val error = assertThrows(BundleException::class.java) { nibbles.encoded(byteArrayOf(1)) }
        assertTrue(error.message!!.contains("int4"))
    }

    @Test
    fun scoresThatAreNoNumbersAreRefused() {
        assertThrows(BundleException::class.java) { labels.likeliest(floatArrayOf(Float.NaN, 0.5f), 1) }
    }

    @Test
    fun moreScoresThanLabelsAreRefused() {
        assertThrows(BundleException::class.java) { labels.likeliest(FloatArray(3), 1) }
    }

    @Test
    fun anotherLabelDisagrees() {
        val answer = labels.compare(golden(0.9f, 0.1f), Tolerance.of("int8"), floatArrayOf(0.1f, 0.9f))
        assertEquals("cat" to "dog", answer.expected to answer.found)
        assertEquals(Verdict.DIFFERS, answer.verdict)
    }

    @Test
    fun anotherLabelOfAlmostTheSameProbabilityIsANearTie() {
        val image = golden(0.52f, 0.48f)
        val scores = floatArrayOf(0.48f, 0.52f)
        assertEquals(Verdict.NEAR_TIE, labels.compare(image, Tolerance.of("int8"), scores).verdict)
        assertEquals(Verdict.DIFFERS, labels.compare(image, Tolerance.of("float32"), scores).verdict)
    }

    @Test
    fun theSameLabelWithOtherNumbersDisagreesInAFloatFile() {
        val image = golden(0.9f, 0.1f)
        val scores = floatArrayOf(0.75f, 0.25f)
        assertEquals(Verdict.DIFFERS, labels.compare(image, Tolerance.of("float16"), scores).verdict)
        val quantised = labels.compare(image, Tolerance.of("int8"), scores)
        assertEquals(Verdict.AGREES, quantised.verdict)
        assertEquals(0.15f, quantised.largestDifference, 1e-6f)
    }

    @Test
    fun halfPrecisionLoosensFloatFilesOnly() {
        assertEquals(Tolerance.of("float16"), Tolerance.of("float32").inHalfPrecision())
        assertEquals(Tolerance.of("int8-weights"), Tolerance.of("int8-weights").inHalfPrecision())
    }

    @Test
    fun aNearTieIsJudgedByTheLabelThatWasFoundNotByTheSecondOne() {
        val pets = Labels.parse("labels.txt", "cat\ndog\ncow\n".toByteArray())
        val image = golden(0.47f, 0.46f, 0.07f)
        fun verdict(vararg scores: Float) = pets.compare(image, Tolerance.of("int8"), scores).verdict
        assertEquals(Verdict.NEAR_TIE, verdict(0.4f, 0.5f, 0.1f))
        assertEquals(Verdict.DIFFERS, verdict(0.3f, 0.3f, 0.4f))
    }

    @Test
    fun aNearTieWithOtherNumbersDiffersInAFloatFile() {
        val image = golden(0.505f, 0.495f)
        val tolerance = Tolerance.of("float16")
        assertEquals(Verdict.NEAR_TIE, labels.compare(image, tolerance, floatArrayOf(0.495f, 0.505f)).verdict)
        assertEquals(Verdict.DIFFERS, labels.compare(image, tolerance, floatArrayOf(0.45f, 0.55f)).verdict)
    }

    @Test
    fun theBoundsOfANearTieArePythons() {
        val precisions = listOf("float32", "float16", "int8-weights", "int8")
        assertEquals(listOf(2e-5f, 2e-2f, 0.1f, 0.1f), precisions.map { Tolerance.of(it).nearTie })
        assertEquals(listOf(1.0, 1.0, 0.97, 0.97), precisions.map { Tolerance.of(it).agreement })
    }

    @Test
    fun oneImageNeverDecidesOverAnInt8FileAndAlwaysOverAFloatFile() {
        val fifteen = answers(agreeing = 15, differing = 1)
        assertTrue(Tolerance.of("int8").accepts(fifteen))
        assertFalse(Tolerance.of("float32").accepts(fifteen))
        assertFalse(Tolerance.of("int8").accepts(answers(agreeing = 14, differing = 2)))
    }

    @Test
    fun nearTiesCountForNeitherSide() {
        val ties = answers(nearTies = 16)
        assertTrue(Tolerance.of("float32").accepts(ties))
        assertTrue(Tolerance.of("int8").accepts(answers(agreeing = 98, differing = 3)))
        assertFalse(Tolerance.of("int8").accepts(answers(agreeing = 50, nearTies = 48, differing = 3)))
    }

    @Test
    fun noImagesAreNoProof() {
        assertFalse(Tolerance.of("int8").accepts(emptyList()))
    }

    private fun answers(agreeing: Int = 0, nearTies: Int = 0, differing: Int = 0): List<GoldenAnswer> =
        List(agreeing) { Verdict.AGREES }
            .plus(List(nearTies) { Verdict.NEAR_TIE })
            .plus(List(differing) { Verdict.DIFFERS })
            .map { GoldenAnswer("golden/000.png", "cat", "dog", largestDifference = 0.01f, it) }

    private fun golden(vararg scores: Float) = GoldenImage(FileEntry("golden/000.png", ""), scores)
}
