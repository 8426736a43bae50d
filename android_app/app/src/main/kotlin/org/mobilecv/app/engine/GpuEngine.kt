package org.mobilecv.app.engine

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import org.mobilecv.core.Artifact
import org.mobilecv.core.Bundle
import org.mobilecv.core.BundleException
import org.mobilecv.core.level

/**
 * LiteRT's compiled model on the GPU alone: float32 files.
 *
 * The CPU is not named beside the GPU, since LiteRT would then fall back to it without a word. The
 * GPU computes in float16 where it is faster; the self-check shows what that costs.
 */
internal class GpuEngine private constructor(private val model: CompiledModel) : Engine {
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    override fun scores(pixels: ByteArray): FloatArray {
        inputs.first().writeFloat(FloatArray(pixels.size) { level(pixels[it]).toFloat() })
        model.run(inputs, outputs)
        return outputs.first().readFloat()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }

    companion object {
        fun open(assets: AssetManager, bundle: Bundle, artifact: Artifact): GpuEngine {
            val types = listOf(artifact.input.dtype, artifact.output.dtype)
            if (types.any { it != "float32" }) {
                throw BundleException(
                    "${artifact.id} takes ${types[0]} and gives ${types[1]}; the GPU takes float32 files: " +
                        "choose the CPU, or a float file",
                )
            }
            bundle.model(artifact) // for its digest; LiteRT opens the asset itself
            try {
                return GpuEngine(
                    CompiledModel.create(assets, artifact.file.path, CompiledModel.Options(Accelerator.GPU)),
                )
            } catch (error: LiteRtException) {
                throw BundleException("This device's GPU cannot run ${artifact.id}: ${error.message}", error)
            }
        }
    }
}
