package org.mobilecv.app.engine

import org.mobilecv.core.Artifact
import org.mobilecv.core.Bundle
import org.mobilecv.core.BundleException
import org.mobilecv.core.buffer
import org.mobilecv.core.decoded
import org.mobilecv.core.encoded
import org.tensorflow.lite.Interpreter

/** LiteRT's interpreter with XNNPACK: float32 and uint8 files. */
internal class CpuEngine private constructor(
    private val interpreter: Interpreter,
    private val artifact: Artifact,
    private val labelCount: Int,
) : Engine {
    private val output = artifact.output.buffer(labelCount)

    override fun scores(pixels: ByteArray): FloatArray {
        output.rewind()
        interpreter.run(artifact.input.encoded(pixels), output)
        return artifact.output.decoded(output, labelCount)
    }

    override fun close() = interpreter.close()

    companion object {
        fun open(bundle: Bundle, choice: Choice): CpuEngine {
            val artifact = choice.artifact
            val interpreter =
                try {
                    Interpreter(bundle.model(artifact), Interpreter.Options().setNumThreads(choice.threads))
                } catch (error: IllegalArgumentException) {
                    throw BundleException("LiteRT cannot load ${artifact.file.path}: ${error.message}", error)
                }
            try {
                check(artifact, bundle, interpreter)
            } catch (error: BundleException) {
                interpreter.close()
                throw error
            }
            return CpuEngine(interpreter, artifact, bundle.labels.count)
        }

        /** Whether the file keeps to the manifest: one image in, one row of scores out. */
        private fun check(artifact: Artifact, bundle: Bundle, interpreter: Interpreter) {
            val image = bundle.manifest.image
            val pixels = listOf(1, image.height, image.width, image.channels)
            val scores = listOf(1, bundle.labels.count)
            val sides =
                listOf(
                    Triple("input", interpreter.getInputTensor(0), "${artifact.input.dtype} $pixels"),
                    Triple("output", interpreter.getOutputTensor(0), "${artifact.output.dtype} $scores"),
                )
            for ((side, tensor, expected) in sides) {
                val found = "${tensor.dataType().name.lowercase()} ${tensor.shape().toList()}"
                if (found == expected) continue
                throw BundleException(
                    "${artifact.file.path}: its $side is $found, expected $expected; export it again",
                )
            }
        }
    }
}
