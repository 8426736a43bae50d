import ClassifierCore
import CoreVideo
import Foundation

/// Pixels in the form that Core ML and Vision take.
enum PixelBuffers {
    /// A buffer with the same pixels: 32BGRA for RGB, with full alpha; OneComponent8 for gray.
    static func make(_ pixels: Pixels) throws -> CVPixelBuffer {
        let isGray = pixels.channels == 1
        let format = isGray ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        // Backed by an IOSurface, so that GPU and Neural Engine can read it.
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey as String: [String: Any]()]
        var made: CVPixelBuffer?
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, pixels.width, pixels.height, format, attributes as CFDictionary,
            &made)
        guard status == kCVReturnSuccess, let buffer = made else {
            throw AppFailure(
                "No memory for a picture of \(pixels.width)x\(pixels.height) (code \(status)).")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw AppFailure("A picture in memory cannot be written.")
        }
        pixels.write(
            to: base.assumingMemoryBound(to: UInt8.self),
            rowBytes: CVPixelBufferGetBytesPerRow(buffer))
        return buffer
    }

    /// The pixels of a camera's 32BGRA buffer, in RGB.
    static func read(_ buffer: CVPixelBuffer) throws -> Pixels {
        guard CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA else {
            throw AppFailure("The camera gave a picture in another format than 32BGRA.")
        }
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw AppFailure("A picture of the camera cannot be read.")
        }
        return try Pixels.read(
            .bgra, from: base.assumingMemoryBound(to: UInt8.self),
            width: CVPixelBufferGetWidth(buffer), height: CVPixelBufferGetHeight(buffer),
            rowBytes: CVPixelBufferGetBytesPerRow(buffer))
    }
}
