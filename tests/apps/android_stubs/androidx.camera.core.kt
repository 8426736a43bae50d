@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.camera.core

import java.nio.ByteBuffer
import java.util.concurrent.Executor

abstract class UseCase

interface ImageInfo {
    val rotationDegrees: Int
}

interface ImageProxy : AutoCloseable {
    interface PlaneProxy {
        val rowStride: Int
        val pixelStride: Int
        val buffer: ByteBuffer
    }

    val width: Int
    val height: Int
    val planes: Array<PlaneProxy>
    val imageInfo: ImageInfo

    override fun close()
}

class ImageAnalysis private constructor() : UseCase() {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    class Builder {
        fun setBackpressureStrategy(strategy: Int): Builder = TODO()

        fun setOutputImageFormat(outputImageFormat: Int): Builder = TODO()

        fun build(): ImageAnalysis = TODO()
    }

    fun setAnalyzer(executor: Executor, analyzer: Analyzer): Unit = TODO()

    fun clearAnalyzer(): Unit = TODO()

    companion object {
        const val STRATEGY_KEEP_ONLY_LATEST: Int = 0
        const val OUTPUT_IMAGE_FORMAT_RGBA_8888: Int = 2
    }
}

class Preview private constructor() : UseCase() {
    fun interface SurfaceProvider {
        fun onSurfaceRequested(request: SurfaceRequest)
    }

    class Builder {
        fun build(): Preview = TODO()
    }

    fun setSurfaceProvider(surfaceProvider: SurfaceProvider?): Unit = TODO()
}

class SurfaceRequest private constructor()

interface Camera

class CameraInfoUnavailableException : Exception()

class CameraSelector private constructor() {
    companion object {
        val DEFAULT_BACK_CAMERA: CameraSelector get() = TODO()
        val DEFAULT_FRONT_CAMERA: CameraSelector get() = TODO()
    }
}
