package org.mobilecv.core

/**
 * The names of the classes, in the order of the scores.
 *
 * @property names At least one; none is empty or stands twice.
 */
class Labels private constructor(val names: List<String>) {
    /** How many classes there are. */
    val count: Int get() = names.size

    companion object {
        /**
         * Reads one label per line, by the rules of `Labels.parse` in
         * `runtime/mobilecv_runtime/spec.py`: Windows line ends, white space around a label and empty
         * last lines are dropped.
         *
         * @param bytes What the file [name] holds: UTF-8 text.
         * @throws BundleException If a label is empty or repeated, or there is none.
         */
        fun parse(name: String, bytes: ByteArray): Labels {
            val text = utf8(bytes, name).trimEnd()
            val lines = if (text.isBlank()) emptyList() else text.split('\n').map { it.trim() }
            if (lines.isEmpty()) throw BundleException("$name holds no label")
            lines.forEachIndexed { index, label ->
                if (label.isEmpty()) throw BundleException("$name, line ${index + 1}: the label is empty")
            }
            val repeated = lines.groupingBy { it }.eachCount().entries.firstOrNull { it.value > 1 }
            if (repeated != null) throw BundleException("$name: '${repeated.key}' stands more than once")
            return Labels(lines)
        }
    }
}
