@_exported import CoreVideo

public enum MLComputeUnits: Int, Sendable { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }
public enum MLFeatureType: Int, Sendable { case invalid, image, dictionary }
open class MLModelConfiguration: NSObject {
    public var computeUnits: MLComputeUnits = .all
}
open class MLFeatureValue: NSObject {
    public convenience init(pixelBuffer: CVPixelBuffer) { self.init() }
    public var type: MLFeatureType { .invalid }
    public var dictionaryValue: [AnyHashable: NSNumber] { [:] }
}
public protocol MLFeatureProvider {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}
open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public var featureNames: Set<String> { [] }
    public func featureValue(for featureName: String) -> MLFeatureValue? { nil }
}
open class MLImageConstraint: NSObject {
    public var pixelsHigh: Int { 0 }
    public var pixelsWide: Int { 0 }
    public var pixelFormatType: OSType { 0 }
}
open class MLFeatureDescription: NSObject {
    public var imageConstraint: MLImageConstraint? { nil }
}
open class MLModelDescription: NSObject {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { [:] }
}
open class MLModel: NSObject {
    public convenience init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
        self.init()
    }
    public var modelDescription: MLModelDescription { MLModelDescription() }
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
    public func prediction(from input: MLFeatureProvider) async throws -> MLFeatureProvider {
        input
    }
    public class func compileModel(at modelURL: URL) async throws -> URL { modelURL }
}
