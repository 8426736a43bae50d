import AVFoundation
import Combine
import CoreMedia
import Foundation

/// The back camera as a stream of upright pictures, of which only the newest is kept.
///
/// Unchecked, since the capture session and the stream are touched on `queue` alone, but for
/// `session` being shown by `CameraPreview`, which AVFoundation allows. An observable object only so
/// that a screen makes one, rather than one each time it is drawn.
final class CameraFeed: NSObject, ObservableObject, @unchecked Sendable {
    let session = AVCaptureSession()
    private let output = AVCaptureVideoDataOutput()
    private let queue = DispatchQueue(label: "camera")
    private var isConfigured = false
    private var continuation: AsyncStream<CameraFrame>.Continuation?

    /// Degrees by which pictures are turned to stand upright in an app that is held upright.
    static let uprightAngle: CGFloat = 90

    /// Ask for permission if need be, start the camera, and give its pictures until `stop`.
    func start() async throws -> AsyncStream<CameraFrame> {
        guard await CameraFeed.isAllowed() else {
            throw AppFailure(
                "The camera may not be used. Allow it in Settings > Privacy & Security > Camera.")
        }
        let (stream, continuation) = AsyncStream.makeStream(
            of: CameraFrame.self, bufferingPolicy: .bufferingNewest(1))
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, Error>) in
            queue.async {
                done.resume(with: Result { try self.run(continuation) })
            }
        }
        return stream
    }

    func stop() {
        queue.async {
            self.session.stopRunning()
            self.continuation?.finish()
            self.continuation = nil
        }
    }

    private static func isAllowed() async -> Bool {
        switch AVCaptureDevice.authorizationStatus(for: .video) {
        case .authorized: return true
        case .notDetermined: return await AVCaptureDevice.requestAccess(for: .video)
        default: return false
        }
    }

    private func run(_ newContinuation: AsyncStream<CameraFrame>.Continuation) throws {
        if !isConfigured { try configure() }
        continuation?.finish()
        continuation = newContinuation
        session.startRunning()
    }

    private func configure() throws {
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        guard
            let camera = AVCaptureDevice.default(
                .builtInWideAngleCamera, for: .video, position: .back)
        else {
            throw AppFailure("This device has no back camera. Choose a photo instead.")
        }
        let input = try AVCaptureDeviceInput(device: camera)
        guard session.canAddInput(input), session.canAddOutput(output) else {
            throw AppFailure("The camera cannot be opened; another app may be using it.")
        }
        if session.canSetSessionPreset(.hd1280x720) { session.sessionPreset = .hd1280x720 }
        // The model was trained on sRGB; left alone, the session may choose Display P3.
        session.automaticallyConfiguresCaptureDeviceForWideColor = false
        session.addInput(input)
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.addOutput(output)
        if let connection = output.connection(with: .video),
            connection.isVideoRotationAngleSupported(CameraFeed.uprightAngle)
        {
            connection.videoRotationAngle = CameraFeed.uprightAngle
        }
        isConfigured = true
    }
}

extension CameraFeed: AVCaptureVideoDataOutputSampleBufferDelegate {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
        continuation?.yield(CameraFrame(buffer: buffer))
    }
}
