package org.mobilecv.app.camera

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import org.mobilecv.core.Orientation
import org.mobilecv.core.Pixels

/**
 * Hands every frame on as upright pixels.
 *
 * @param onFrame Returns when the frame is answered, and does not throw. The frame is open meanwhile
 *   and is closed exactly once after it, so that CameraX delivers the newest one next.
 */
internal class FrameAnalyzer(private val onFrame: (read: () -> Pixels) -> Unit) : ImageAnalysis.Analyzer {
    override fun analyze(image: ImageProxy) {
        image.use { frame -> onFrame { upright(frame) } }
    }
}

/**
 * A frame in `OUTPUT_IMAGE_FORMAT_RGBA_8888`, whose one plane has rows that may be longer than the
 * picture, turned by `rotationDegrees`.
 */
private fun upright(frame: ImageProxy): Pixels {
    val plane = frame.planes.first()
    val stored = Pixels.fromRgba(frame.width, frame.height, plane.buffer, plane.rowStride)
    return Orientation.ofRotation(frame.imageInfo.rotationDegrees).apply(stored)
}
