package org.mobilecv.core

/**
 * The members of one JSON object, read by name and type; a failure names the path of the field.
 *
 * @property path Where the object stands, such as `mobilecv.json: image`.
 */
internal class Fields private constructor(
    private val path: String,
    private val members: Map<*, *>,
) {
    /** A text. */
    fun text(name: String): String = member(name) as? String ?: wrong(name, "a text")

    /** A text that is one of [choices]. */
    fun word(name: String, choices: Collection<String>): String {
        val word = text(name)
        return if (word in choices) word else wrong(name, "one of ${choices.joinToString(", ")}")
    }

    /** A finite number. */
    fun number(name: String): Double = member(name) as? Double ?: wrong(name, "a number")

    /** A whole number from [least] on. */
    fun count(name: String, least: Int): Int {
        val value = whole(name)
        return if (value >= least) value else wrong(name, "at least $least")
    }

    /** A whole number. */
    fun whole(name: String): Int {
        val value = number(name)
        return if (value == value.toInt().toDouble()) value.toInt() else wrong(name, "a whole number")
    }

    /** Whether there is such a field. */
    fun has(name: String): Boolean = name in members

    /** An object inside this one. */
    fun inner(name: String): Fields = of("$path.$name", member(name))

    /** An array of objects. */
    fun list(name: String): List<Fields> =
        array(name).mapIndexed { index, value -> of("$path.$name[$index]", value) }

    /** An array of numbers. */
    fun floats(name: String): FloatArray {
        val values = array(name)
        return FloatArray(values.size) { index ->
            (values[index] as? Double ?: wrong(name, "numbers only")).toFloat()
        }
    }

    private fun array(name: String): List<*> = member(name) as? List<*> ?: wrong(name, "a list")

    private fun member(name: String): Any? =
        if (name in members) members[name] else throw BundleException("$path.$name is missing")

    private fun wrong(name: String, expected: String): Nothing {
        val found = members[name].toString().take(LONGEST_SHOWN)
        throw BundleException("$path.$name is $found; expected $expected")
    }

    companion object {
        private const val LONGEST_SHOWN = 40

        /**
         * The object that the JSON file [name] holds.
         *
         * @param bytes UTF-8 text.
         */
        fun parse(name: String, bytes: ByteArray): Fields =
            try {
                of(name, JsonReader(utf8(bytes, name)).read())
            } catch (error: BundleException) {
                val message = error.message.orEmpty()
                throw BundleException(if (message.startsWith(name)) message else "$name: $message", error)
            }

        private fun of(path: String, value: Any?): Fields =
            Fields(path, value as? Map<*, *> ?: throw BundleException("$path is no JSON object"))
    }
}
