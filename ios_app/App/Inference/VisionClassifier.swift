import ClassifierCore
import CoreML
import CoreVideo
import Foundation
import Vision

/// The system path: Vision crops, scales and asks the model.
struct VisionClassifier {
    private let model: VNCoreMLModel
    private let image: ImageInput

    init(model: MLModel, image: ImageInput) throws {
        self.model = try VNCoreMLModel(for: model)
        self.image = image
    }

    /// Probabilities by label for an upright picture.
    func probabilities(of buffer: CVPixelBuffer) throws -> [String: Float] {
        let request = VNCoreMLRequest(model: model)
        request.imageCropAndScaleOption = VisionClassifier.option(image.fit)
        if image.fit == .crop, image.cropFraction < 1 {
            request.regionOfInterest = region(of: buffer)
        }
        let handler = VNImageRequestHandler(cvPixelBuffer: buffer, orientation: .up, options: [:])
        try handler.perform([request])
        guard let found = request.results as? [VNClassificationObservation], !found.isEmpty else {
            throw AppFailure("Vision gave no classification; the model is no classifier to it.")
        }
        var byLabel: [String: Float] = [:]
        for observation in found { byLabel[observation.identifier] = observation.confidence }
        return byLabel
    }

    private static func option(_ fit: ImageInput.Fit) -> VNImageCropAndScaleOption {
        switch fit {
        case .crop: return .centerCrop
        case .stretch: return .scaleFill
        case .pad: return .scaleFit
        }
    }

    /// The manifest's crop box as a share of the picture. It is centred, so that it does not matter
    /// that Vision counts from the bottom.
    private func region(of buffer: CVPixelBuffer) -> CGRect {
        let width = CVPixelBufferGetWidth(buffer)
        let height = CVPixelBufferGetHeight(buffer)
        let box = cropBox(width: width, height: height, image: image)
        return CGRect(
            x: CGFloat(box.left) / CGFloat(width), y: CGFloat(box.top) / CGFloat(height),
            width: CGFloat(box.width) / CGFloat(width),
            height: CGFloat(box.height) / CGFloat(height))
    }
}
