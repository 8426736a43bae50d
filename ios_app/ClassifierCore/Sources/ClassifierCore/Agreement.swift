/// How an answer on a golden image stands to the trained model's.
public struct Agreement: Equatable, Sendable {
    /// The trained model's first label, by its place in `labels.txt`.
    public let expected: Int
    /// The first label of the answer.
    public let answered: Int
    /// The largest difference of probability over all labels; infinite if a score is not a number.
    public let largestDifference: Float
    /// Whether label and probabilities are close enough.
    public let agrees: Bool

    /// Hold an answer against the recorded scores.
    ///
    /// Another first label is forgiven when the trained model's first two lie close together: then
    /// neither answer is wrong.
    public init(answer: [Float], recorded: [Float], tolerance: Tolerance) {
        let best = topK(recorded, 2)
        expected = best.first?.index ?? -1
        answered = topK(answer, 1).first?.index ?? -1
        let isComparable = answer.count == recorded.count && answer.allSatisfy(\.isFinite)
        let differences = zip(answer, recorded).map { abs($0 - $1) }
        largestDifference = isComparable ? differences.max() ?? 0 : .infinity
        let isNearTie = best.count == 2 && best[0].score - best[1].score < tolerance.nearTie
        let isClose = isComparable && largestDifference <= tolerance.largestDifference
        agrees = isClose && (answered == expected || isNearTie)
    }
}

/// How far an answer may lie from the recorded one.
public struct Tolerance: Equatable, Sendable {
    /// Of one label's probability; infinite where only the first label counts.
    public let largestDifference: Float
    /// Up to which distance of the first two probabilities either of them may come first.
    public let nearTie: Float

    /// What an artifact is held to on a device.
    ///
    /// From `TOLERANCES` in `runtime/mobilecv_runtime/parity.py`, with one difference: float32 is
    /// held to ten times its bound, since a device adds up in another order, and to that of float16
    /// unless it runs on the CPU, since GPU and Neural Engine compute in float16.
    public static func on(_ precision: Precision, isCPU: Bool) -> Tolerance {
        switch precision {
        case .float32 where isCPU: return Tolerance(largestDifference: 1e-4, nearTie: 1e-4)
        case .float32, .float16: return Tolerance(largestDifference: 2e-2, nearTie: 2e-2)
        case .int8Weights, .int8: return Tolerance(largestDifference: .infinity, nearTie: 0.1)
        }
    }
}
