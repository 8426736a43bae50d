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
        if image.fit == .crop { request.regionOfInterest = region(of: buffer) }
        let handler = VNImageRequestHandler(cvPixelBuffer: buffer, orientation: .up, options: [:])
        try handler.perform([request])
        guard let found = request.results as? [VNClassificationObservation], !found.isEmpty else {
            throw AppFailure("Vision gave no classification; the model is no classifier to it.")
        }
        var byLabel: [String: Float] = [:]
        for observation in found { byLabel[observation.identifier] = observation.confidence }
        return byLabel
    }

    /// How Vision gets from the picture, or its region of interest, to the model's size.
    ///
    /// With `crop` the region is the crop box already. Vision's own `centerCrop` was refused: it
    /// takes the largest box, which a crop fraction below 1 makes too large.
    private static func option(_ fit: ImageInput.Fit) -> VNImageCropAndScaleOption {
        switch fit {
        case .crop, .stretch: return .scaleFill
        case .pad: return .scaleFit
        }
    }

    /// The manifest's crop box, the same as on the exact path.
    private func region(of buffer: CVPixelBuffer) -> CGRect {
        let width = CVPixelBufferGetWidth(buffer)
        let height = CVPixelBufferGetHeight(buffer)
        let box = cropBox(width: width, height: height, image: image)
            .shares(ofWidth: width, height: height)
        return CGRect(
            x: CGFloat(box.left), y: CGFloat(box.bottom), width: CGFloat(box.width),
            height: CGFloat(box.height))
    }
}
