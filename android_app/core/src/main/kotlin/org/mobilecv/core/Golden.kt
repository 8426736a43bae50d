package org.mobilecv.core

/**
 * A prepared image and what the trained model says to it.
 *
 * @property scores One probability per label.
 */
class GoldenImage(val file: FileEntry, val scores: FloatArray) {
    internal companion object {
        fun parse(path: String, bytes: ByteArray, labelCount: Int): List<GoldenImage> {
            val folder = path.substringBeforeLast('/', missingDelimiterValue = "")
            return Fields.parse(path, bytes).list("images").map { image ->
                val file = FileEntry.read(image)
                val scores = image.floats("scores")
                if (scores.size != labelCount) {
                    throw BundleException("${file.path} has ${scores.size} scores, expected $labelCount")
                }
                GoldenImage(if (folder.isEmpty()) file else file.copy(path = "$folder/${file.path}"), scores)
            }
        }
    }
}
