package org.mobilecv.core

/**
 * What `mobilecv.json` says that an app needs. The fields and their meaning are those of
 * `mobilecv_runtime/schema/mobilecv-1.schema.json`; `preprocessing` is left unread on purpose,
 * since it happens inside every artifact, and of `head` only counts whether the app can show its
 * answers.
 *
 * @property name The model's name, for the title.
 */
data class Manifest(
    val name: String,
    val image: ImageInput,
    val labels: FileEntry,
    val labelCount: Int,
    val golden: FileEntry,
    val artifacts: List<Artifact>,
) {
    companion object {
        const val FILE_NAME: String = "mobilecv.json"
        private const val FORMAT = "mobilecv-bundle"
        private const val VERSION = 1
        private val LABELLING_HEADS =
            setOf(
                "softmax",
                "logits",
                "sigmoid",
                "sigmoid-logits",
                "multi-label",
                "multi-label-logits",
            )

        /**
         * Reads the manifest.
         *
         * @throws BundleException If it is another kind of file, of another version, or damaged.
         */
        fun parse(bytes: ByteArray): Manifest {
            val fields = Fields.parse(FILE_NAME, bytes)
            if (!fields.has("format") || fields.text("format") != FORMAT) {
                throw BundleException("$FILE_NAME is not the manifest of a mobilecv bundle")
            }
            val version = fields.whole("version")
            if (version != VERSION) {
                throw BundleException(
                    "$FILE_NAME is of version $version, this app reads $VERSION; " +
                        "take the app from the mobilecv that exported the model",
                )
            }
            val head = fields.inner("head").text("kind")
            if (head !in LABELLING_HEADS) {
                throw BundleException(
                    "the model's head is '$head', but this app shows probabilities of labels only",
                )
            }
            return Manifest(
                name = fields.text("name"),
                image = ImageInput.read(fields.inner("image")),
                labels = FileEntry.read(fields.inner("labels")),
                labelCount = fields.inner("labels").count("count", least = 1),
                golden = FileEntry.read(fields.inner("golden")),
                artifacts = fields.list("artifacts").map(Artifact::read),
            )
        }
    }
}

/**
 * A file of the bundle.
 *
 * @property path Relative to the manifest; never outside of its folder.
 * @property sha256 64 lower-case hexadecimal digits.
 */
data class FileEntry(val path: String, val sha256: String) {
    internal companion object {
        fun read(fields: Fields): FileEntry {
            val path = fields.text("file")
            if (path.isEmpty() || path.startsWith("/") || path.split('/').any { it == ".." }) {
                throw BundleException("the file '$path' lies outside of the bundle")
            }
            return FileEntry(path, fields.text("sha256"))
        }
    }
}

/**
 * One exported file.
 *
 * @property id The target it is of, such as `tflite-int8`.
 * @property precision `float32`, `float16`, `int8-weights` or `int8`.
 */
data class Artifact(
    val id: String,
    val file: FileEntry,
    val precision: String,
    val input: Tensor,
    val output: Tensor,
) {
    /** Whether LiteRT runs it. */
    val isTflite: Boolean get() = file.path.endsWith(".tflite")

    internal companion object {
        fun read(fields: Fields) =
            Artifact(
                id = fields.text("id"),
                file = FileEntry.read(fields),
                precision = fields.text("precision"),
                input = Tensor.read(fields.inner("input")),
                output = Tensor.read(fields.inner("output")),
            )
    }
}

/**
 * What an artifact takes or gives.
 *
 * @property dtype `float32` or `uint8` in `.tflite` files.
 * @property quantisation How integers stand for numbers; identity where the manifest has none.
 */
data class Tensor(val dtype: String, val quantisation: Quantisation) {
    internal companion object {
        fun read(fields: Fields): Tensor {
            val scale = if (fields.has("scale")) fields.number("scale").toFloat() else 1f
            val zeroPoint = if (fields.has("zero_point")) fields.whole("zero_point") else 0
            if (scale <= 0f) throw BundleException("a tensor's scale is $scale; expected above 0")
            return Tensor(fields.text("dtype"), Quantisation(scale, zeroPoint))
        }
    }
}
