import ClassifierCore
import CoreML
import CoreVideo
import Dispatch
import Foundation

/// A loaded model. It answers one picture at a time, away from the main thread, and takes the time.
actor InferenceEngine {
    private let installed: InstalledModel
    private let units: ComputeUnits
    private var loadedModel: MLModel?
    private var loadedVision: VisionClassifier?

    init(_ installed: InstalledModel, units: ComputeUnits) {
        self.installed = installed
        self.units = units
    }

    /// Answer for an upright sRGB picture of any size.
    func classify(_ photo: Pixels, by path: PixelPath) throws -> Answer {
        switch path {
        case .exact:
            let start = DispatchTime.now()
            let prepared = try photo.prepared(for: installed.image)
            let preparation = InferenceEngine.milliseconds(since: start)
            let answer = try answer(prepared)
            return Answer(
                scores: answer.scores, preparationMilliseconds: preparation,
                inferenceMilliseconds: answer.inferenceMilliseconds)
        case .system:
            return try classifyByVision(try PixelBuffers.make(photo))
        }
    }

    /// Answer for a frame of the camera.
    func classify(_ frame: CameraFrame, by path: PixelPath) throws -> Answer {
        switch path {
        case .exact: return try classify(PixelBuffers.read(frame.buffer), by: path)
        case .system: return try classifyByVision(frame.buffer)
        }
    }

    /// Answer for pixels that have the model's size already, such as a golden image.
    func answer(_ prepared: Pixels) throws -> Answer {
        let buffer = try PixelBuffers.make(prepared)
        let model = try model()
        let input = try MLDictionaryFeatureProvider(dictionary: [
            installed.artifact.input.name: MLFeatureValue(pixelBuffer: buffer)
        ])
        let start = DispatchTime.now()
        let output = try model.prediction(from: input)
        let inference = InferenceEngine.milliseconds(since: start)
        return Answer(
            scores: try scores(in: output), preparationMilliseconds: 0,
            inferenceMilliseconds: inference)
    }

    private func classifyByVision(_ buffer: CVPixelBuffer) throws -> Answer {
        let vision = try vision()
        let start = DispatchTime.now()
        let byLabel = try vision.probabilities(of: buffer)
        let inference = InferenceEngine.milliseconds(since: start)
        return Answer(
            scores: try ordered(byLabel), preparationMilliseconds: nil,
            inferenceMilliseconds: inference)
    }

    private func model() throws -> MLModel {
        if let loadedModel { return loadedModel }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units.coreML
        let model = try MLModel(
            contentsOf: installed.compiledModel, configuration: configuration)
        try ModelContract.check(model, against: installed)
        loadedModel = model
        return model
    }

    private func vision() throws -> VisionClassifier {
        if let loadedVision { return loadedVision }
        let vision = try VisionClassifier(model: model(), image: installed.image)
        loadedVision = vision
        return vision
    }

    private func scores(in output: MLFeatureProvider) throws -> [Float] {
        let name = installed.artifact.output.name
        guard let value = output.featureValue(for: name), value.type == .dictionary else {
            throw AppFailure("The model gave no probabilities under the name \"\(name)\".")
        }
        var byLabel: [String: Float] = [:]
        for (label, probability) in value.dictionaryValue {
            if let label = label.base as? String { byLabel[label] = probability.floatValue }
        }
        return try ordered(byLabel)
    }

    /// Bring probabilities into the order of `labels.txt`.
    private func ordered(_ byLabel: [String: Float]) throws -> [Float] {
        try installed.labels.map { label in
            guard let probability = byLabel[label] else {
                throw AppFailure("The model does not know the label \"\(label)\".")
            }
            return probability
        }
    }

    private static func milliseconds(since start: DispatchTime) -> Double {
        Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1_000_000
    }
}
