package org.mobilecv.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What a manifest may say, and what is refused by the name of the field. */
class ManifestTest {
    @Test
    fun theFieldsThatAnAppNeedsAreRead() {
        val manifest = Manifest.parse(TEXT.toByteArray())
        assertEquals(ImageInput(4, 6, 3, Fit.CROP, 0.875, Filter.BICUBIC), manifest.image)
        assertEquals(listOf(false, true), manifest.artifacts.map { it.isTflite })
        assertEquals(Tensor("uint8", Quantisation(1f, 0)), manifest.artifacts[1].input)
        assertEquals(Tensor("float32", Quantisation(1f, 0)), manifest.artifacts[1].output)
    }

    @Test
    fun spoiltFieldsAreRefusedByName() {
        val spoilt =
            mapOf(
                "\"height\": 4" to "\"height\": 0",
                "\"width\": 6" to "\"width\": 6.5",
                "\"channels\": 3" to "\"channels\": 4",
                "\"crop_fraction\": 0.875" to "\"crop_fraction\": 1.5",
                "\"fit\": \"crop\"" to "\"fit\": \"squash\"",
                "\"resample\": \"bicubic\"" to "\"resample\": \"area\"",
                "\"golden\": {" to "\"goldenes\": {",
                "\"count\": 2" to "\"count\": \"2\"",
                "\"dtype\": \"uint8\"" to "\"type\": \"uint8\"",
                "\"scale\": 1.0" to "\"scale\": 0",
            )
        for ((right, wrong) in spoilt) {
            assertTrue(right, right in TEXT)
            val error = refusal(wrong) { Manifest.parse(TEXT.replace(right, wrong).toByteArray()) }
            val field = right.substringAfter('"').substringBefore('"')
            assertTrue(error.message, error.message!!.contains(field))
        }
    }

    @Test
    fun answersThatAreNoProbabilitiesAreRefused() {
        for (kind in listOf("regression", "oracle")) {
            val other = TEXT.replace("multi-label", kind)
            val error = refusal(kind) { Manifest.parse(other.toByteArray()) }
            assertTrue(error.message, error.message!!.contains("head is '$kind'"))
        }
    }

    @Test
    fun aLaterVersionIsRefused() {
        val later = TEXT.replace("\"version\": 1", "\"version\": 2")
        val error = assertThrows(BundleException::class.java) { Manifest.parse(later.toByteArray()) }
        assertTrue(error.message!!.contains("version 2"))
    }

    @Test
    fun anotherJsonFileIsNoManifest() {
        for (text in listOf("{}", "{\"format\": \"other\"}", "[]", "not JSON", "")) {
            val error = assertThrows(text, BundleException::class.java) { Manifest.parse(text.toByteArray()) }
            assertTrue(error.message!!.startsWith("mobilecv.json"))
        }
    }

    @Test
    fun filesOutsideOfTheBundleAreRefused() {
        for (path in listOf("../labels.txt", "/labels.txt", "a/../../b", "")) {
            val text = TEXT.replace("\"labels.txt\"", "\"$path\"")
            assertThrows(path, BundleException::class.java) { Manifest.parse(text.toByteArray()) }
        }
    }

    @Test
    fun labelFilesAreReadAsPythonReadsThem() {
        val edited = "\uFEFFcat \r\n dog\r\n\r\n".toByteArray()
        assertEquals(listOf("cat", "dog"), Labels.parse("labels.txt", edited).names)
        val spoilt = listOf("", "\n", "cat\n\ndog", "cat\ncat")
        for (text in spoilt) refusal(text) { Labels.parse("labels.txt", text.toByteArray()) }
        assertThrows(BundleException::class.java) { Labels.parse("labels.txt", byteArrayOf(0x63, -1)) }
    }

    private fun refusal(what: String, read: () -> Unit): BundleException =
        assertThrows(what, BundleException::class.java) { read() }

    private companion object {
        const val TEXT =
            """{
  "format": "mobilecv-bundle", "version": 1, "name": "pets",
  "image": {"height": 4, "width": 6, "channels": 3,
            "fit": "crop", "crop_fraction": 0.875, "resample": "bicubic"},
  "head": {"kind": "multi-label"},
  "labels": {"file": "labels.txt", "count": 2, "origin": "labels.txt", "sha256": "00"},
  "golden": {"origin": "photos", "file": "golden/golden.json", "sha256": "00"},
  "artifacts": [
    {"id": "coreml", "file": "pets.mlmodel", "sha256": "00", "precision": "float32",
     "input": {"name": "image", "dtype": "float32", "layout": "image"},
     "output": {"name": "probabilities", "dtype": "dictionary"}},
    {"id": "tflite-int8", "file": "pets-int8.tflite", "sha256": "00", "precision": "int8",
     "input": {"name": "image", "dtype": "uint8", "layout": "NHWC", "scale": 1.0, "zero_point": 0},
     "output": {"name": "probabilities", "dtype": "float32"}}
  ]
}"""
    }
}
