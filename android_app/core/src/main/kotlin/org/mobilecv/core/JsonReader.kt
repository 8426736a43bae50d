package org.mobilecv.core

/**
 * Reads one JSON text as RFC 8259 defines it, and nothing more lenient.
 *
 * Android has `org.json` and the JVM has nothing, so the tests of a reader on `org.json` would test
 * another reader than the one on the phone.
 *
 * Objects become [Map], arrays [List], strings [String], numbers [Double], and `true`, `false` and
 * `null` themselves. A key that stands twice is refused, since readers disagree on which one counts.
 */
internal class JsonReader(private val text: String) {
    private var at = 0

    /** The value of the whole text. */
    fun read(): Any? {
        val value = value(depth = 0)
        skipSpace()
        if (at < text.length) fail("more text after the end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) fail("nested more than $DEEPEST deep")
        skipSpace()
        return when (peek()) {
            '{' -> objectValue(depth)
            '[' -> arrayValue(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun objectValue(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        items('{', '}') {
            if (peek() != '"') fail("a key in quotes was expected")
            val key = string()
            skipSpace()
            take(':')
            if (key in members) fail("the key \"$key\" stands twice")
            members[key] = value(depth + 1)
        }
        return members
    }

    private fun arrayValue(depth: Int): List<Any?> {
        val values = ArrayList<Any?>()
        items('[', ']') { values += value(depth + 1) }
        return values
    }

    private fun items(open: Char, close: Char, item: () -> Unit) {
        take(open)
        skipSpace()
        if (peek() == close) return take(close)
        while (true) {
            skipSpace()
            item()
            skipSpace()
            if (peek() != ',') return take(close)
            take(',')
        }
    }

    private fun string(): String {
        take('"')
        val result = StringBuilder()
        while (true) {
            val char = next()
            when {
                char == '"' -> return result.toString()
                char == '\\' -> result.append(escape())
                char < ' ' -> fail("a control character inside a string")
                else -> result.append(char)
            }
        }
    }

    private fun escape(): Char =
        when (val char = next()) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> hexadecimal()
            else -> fail("the escape \\$char is unknown")
        }

    private fun hexadecimal(): Char {
        val digits = String(CharArray(4) { next() })
        if (!digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) {
            fail("\\u$digits is no character")
        }
        return digits.toInt(16).toChar()
    }

    private fun number(): Double {
        val start = at
        while (at < text.length && (text[at] in '0'..'9' || text[at] in "+-.eE")) at++
        val digits = text.substring(start, at)
        val value = if (NUMBER.matches(digits)) digits.toDouble() else Double.NaN
        if (!value.isFinite()) {
            at = start
            fail("a value was expected")
        }
        return value
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) fail("a value was expected")
        at += word.length
        return value
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("the text ends too early")

    private fun next(): Char = peek().also { at++ }

    private fun take(char: Char) {
        if (peek() != char) fail("'$char' was expected")
        at++
    }

    private fun fail(reason: String): Nothing {
        val line = text.substring(0, minOf(at, text.length)).count { it == '\n' } + 1
        throw BundleException("not valid JSON, line $line: $reason")
    }

    private companion object {
        const val DEEPEST = 100
        val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    }
}
