package org.mobilecv.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** RFC 8259, and nothing more lenient. */
class JsonReaderTest {
    @Test
    fun everyKindOfValueIsRead() {
        val text = """ {"a": [1, -2.5e2, true, false, null, {}], "b\n\u00e9\"": "\\\/", "": []} """
        val values = listOf(1.0, -250.0, true, false, null, emptyMap<String, Any?>())
        val expected = mapOf("a" to values, "b\né\"" to "\\/", "" to emptyList<Any?>())
        assertEquals(expected, JsonReader(text).read())
    }

    @Test
    fun whatIsNoJsonIsRefused() {
        val broken =
            listOf(
                "", " ", "{", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "1.", ".5", "+1", "NaN",
                "Infinity", "1e999", "tru", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "1 2", "{\"a\" 1}",
                "[1 2]", "nul", "--1", "\\u0031",
            )
        for (text in broken) assertThrows(text, BundleException::class.java) { JsonReader(text).read() }
    }

    @Test
    fun aKeyThatStandsTwiceIsRefused() {
        assertThrows(BundleException::class.java) { JsonReader("""{"a": 1, "a": 2}""").read() }
    }

    @Test
    fun deepNestingIsRefusedRatherThanOverflowing() {
        assertThrows(BundleException::class.java) { JsonReader("[".repeat(100_000)).read() }
    }

    @Test
    fun theMessageNamesTheLine() {
        val error = assertThrows(BundleException::class.java) { JsonReader("{\n\"a\": 1,\n\"b\": ?}").read() }
        assertTrue(error.message!!, error.message!!.contains("line 3"))
    }
}
