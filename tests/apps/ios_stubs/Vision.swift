import CoreML
import ImageIO

public enum VNImageCropAndScaleOption: UInt, Sendable { case centerCrop, scaleFit, scaleFill }
public struct VNImageOption: Hashable, Sendable {}
open class VNObservation: NSObject {
    public var confidence: Float { 0 }
}
open class VNClassificationObservation: VNObservation {
    public var identifier: String { "" }
}
open class VNRequest: NSObject {
    public var results: [VNObservation]? { nil }
}
open class VNImageBasedRequest: VNRequest {
    public var regionOfInterest: CGRect = .zero
}
open class VNCoreMLModel: NSObject {
    public convenience init(for model: MLModel) throws { self.init() }
}
open class VNCoreMLRequest: VNImageBasedRequest {
    public convenience init(model: VNCoreMLModel) { self.init() }
    public var imageCropAndScaleOption: VNImageCropAndScaleOption = .centerCrop
}
open class VNImageRequestHandler: NSObject {
    public init(
        cvPixelBuffer: CVPixelBuffer, orientation: CGImagePropertyOrientation,
        options: [VNImageOption: Any]
    ) {}
    public func perform(_ requests: [VNRequest]) throws {}
}
