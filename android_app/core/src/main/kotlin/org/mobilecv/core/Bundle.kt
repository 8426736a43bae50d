package org.mobilecv.core

import java.nio.ByteBuffer
import java.security.MessageDigest

/** Where the files of a bundle come from: the app's assets, or a folder. */
interface BundleFiles {
    /** Whether there is such a file. */
    fun has(path: String): Boolean

    /**
     * What the file holds, from its beginning on; large ones mapped rather than read.
     *
     * @throws java.io.IOException If it cannot be read.
     */
    fun read(path: String): ByteBuffer
}

/**
 * A bundle that `mobilecv export` wrote.
 *
 * @property artifacts The `.tflite` files that are really there, in the manifest's order; at least one.
 */
class Bundle private constructor(
    private val files: BundleFiles,
    val manifest: Manifest,
    val labels: Labels,
    val artifacts: List<Artifact>,
) {
    /**
     * What an artifact's file holds, after its digest was checked.
     *
     * @throws BundleException If it was changed since the export.
     */
    fun model(artifact: Artifact): ByteBuffer = files.checked(artifact.file)

    /** The golden images with the scores that the trained model gave. */
    fun golden(): List<GoldenImage> {
        val file = manifest.golden
        return GoldenImage.parse(file.path, files.checked(file).toBytes(), labels.count)
    }

    /** The PNG file of a golden image: of the model's size, so that nothing is left to prepare. */
    fun png(image: GoldenImage): ByteArray = files.checked(image.file).toBytes()

    companion object {
        /**
         * Reads manifest and labels.
         *
         * @return null where there is no bundle at all.
         * @throws BundleException If there is one that cannot be used.
         */
        fun open(files: BundleFiles): Bundle? {
            if (!files.has(Manifest.FILE_NAME)) return null
            val manifest = Manifest.parse(files.read(Manifest.FILE_NAME).toBytes())
            val labels = Labels.parse(manifest.labels.path, files.checked(manifest.labels).toBytes())
            if (labels.count != manifest.labelCount) {
                val file = manifest.labels.path
                throw BundleException("$file has ${labels.count} labels, expected ${manifest.labelCount}")
            }
            val artifacts = manifest.artifacts.filter { it.isTflite && files.has(it.file.path) }
            if (artifacts.isEmpty()) {
                throw BundleException(
                    "the bundle of '${manifest.name}' holds no .tflite file; export it with --to tflite",
                )
            }
            return Bundle(files, manifest, labels, artifacts)
        }

        private fun BundleFiles.checked(file: FileEntry): ByteBuffer {
            if (!has(file.path)) throw BundleException("${file.path} is missing; export the model again")
            val content = read(file.path)
            if (sha256(content) != file.sha256) {
                throw BundleException("${file.path} was changed since the export; export the model again")
            }
            return content
        }

        private fun sha256(content: ByteBuffer): String {
            val digest = MessageDigest.getInstance("SHA-256")
            digest.update(content.duplicate())
            return digest.digest().joinToString("") { "%02x".format(it) }
        }

        private fun ByteBuffer.toBytes(): ByteArray = ByteArray(remaining()).also { duplicate().get(it) }
    }
}
