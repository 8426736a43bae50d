import CoreVideo

/// One upright picture of the camera, 32BGRA.
///
/// Unchecked, since the camera has finished the buffer when it hands it out, and all that follow
/// only read it.
struct CameraFrame: @unchecked Sendable {
    let buffer: CVPixelBuffer
}
