import AVFoundation
import SwiftUI
import UIKit

/// The camera's live picture.
struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.show(session)
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {}

    /// A view with a preview layer that keeps its size.
    final class PreviewView: UIView {
        private let preview = AVCaptureVideoPreviewLayer()

        func show(_ session: AVCaptureSession) {
            preview.session = session
            // The whole picture, as the model gets it, rather than one that fills the view.
            preview.videoGravity = .resizeAspect
            layer.addSublayer(preview)
        }

        override func layoutSubviews() {
            super.layoutSubviews()
            preview.frame = bounds
            if let connection = preview.connection,
                connection.isVideoRotationAngleSupported(CameraFeed.uprightAngle)
            {
                connection.videoRotationAngle = CameraFeed.uprightAngle
            }
        }
    }
}
