package org.mobilecv.app.engine

import android.content.res.AssetManager
import org.mobilecv.core.Artifact
import org.mobilecv.core.Bundle
import org.mobilecv.core.Tolerance

/** Which processor runs the model. */
enum class Processor(val title: String) {
    CPU("CPU"),
    GPU("GPU"),
}

/**
 * What the user chose to run.
 *
 * @property threads At least 1; of the CPU only.
 */
data class Choice(val artifact: Artifact, val processor: Processor, val threads: Int) {
    /** How far its answers may lie from the trained model's; a GPU may compute in float16. */
    val tolerance: Tolerance
        get() =
            when (processor) {
                Processor.CPU -> Tolerance.of(artifact.precision)
                Processor.GPU -> Tolerance.of(artifact.precision).inHalfPrecision()
            }
}

/**
 * An artifact, loaded. Used by one thread at a time.
 *
 * There are two, because LiteRT 2.1 has two interfaces and neither does everything:
 * - The `Interpreter` runs on the CPU only
 *   (https://ai.google.dev/edge/litert/android, "Supported Android Versions and APIs"; 2.0 had none).
 *   It tells the types and shapes of its tensors, uint8 among them, so that a file which does not
 *   keep to the manifest is refused.
 * - `CompiledModel` runs on the GPU, but its `TensorType.ElementType` has no unsigned 8-bit integers
 *   and its buffers do not tell their type, so it gets float files only.
 *
 * Running all on `CompiledModel` was refused: `writeInt8` might fill a uint8 tensor too, but no one
 * promises it, and what the file really takes could not be held against the manifest.
 */
interface Engine : AutoCloseable {
    /**
     * Answers one image.
     *
     * @param pixels As `prepare` gives them, (height, width, channels), 0..255.
     * @return One probability per label.
     */
    fun scores(pixels: ByteArray): FloatArray
}

/**
 * Loads an artifact.
 *
 * @throws org.mobilecv.core.BundleException If it does not keep to the manifest, or the processor
 *   cannot run it.
 */
internal fun openEngine(assets: AssetManager, bundle: Bundle, choice: Choice): Engine =
    when (choice.processor) {
        Processor.CPU -> CpuEngine.open(bundle, choice)
        Processor.GPU -> GpuEngine.open(assets, bundle, choice.artifact)
    }
