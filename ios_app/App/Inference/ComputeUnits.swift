import CoreML

/// Where Core ML may compute; the choice is a wish, Core ML decides layer by layer.
enum ComputeUnits: String, CaseIterable, Identifiable, Sendable {
    case all = "All"
    case cpu = "CPU"
    case gpu = "CPU and GPU"
    case neuralEngine = "CPU and Neural Engine"

    var id: String { rawValue }

    var coreML: MLComputeUnits {
        switch self {
        case .all: return .all
        case .cpu: return .cpuOnly
        case .gpu: return .cpuAndGPU
        case .neuralEngine: return .cpuAndNeuralEngine
        }
    }
}
