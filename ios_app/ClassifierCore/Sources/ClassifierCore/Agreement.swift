/// How an answer on a golden image stands to the trained model's.
///
/// The rule is `compare` in `runtime/mobilecv_runtime/parity.py`; `docs/apps.md` has it in words.
public struct Agreement: Equatable, Sendable {
    public enum Verdict: Equatable, Sendable {
        /// The same label, with the numbers as close as the precision allows.
        case agrees
        /// Another label, which the trained model holds almost as likely.
        case nearTie
        /// Another label, or other numbers.
        case differs
    }

    /// The trained model's first label, by its place in `labels.txt`.
    public let expected: Int
    /// The first label of the answer.
    public let answered: Int
    /// The largest difference of probability over all labels; infinite if a score is not a number.
    public let largestDifference: Float
    public let verdict: Verdict

    /// Whether label and probabilities are close enough; a near-tie is.
    public var agrees: Bool { verdict != .differs }

    /// Hold an answer against the recorded scores.
    public init(answer: [Float], recorded: [Float], tolerance: Tolerance) {
        expected = topK(recorded, 1).first?.index ?? -1
        answered = topK(answer, 1).first?.index ?? -1
        let isComparable =
            !answer.isEmpty && answer.count == recorded.count && answer.allSatisfy(\.isFinite)
        let differences = zip(answer, recorded).map { abs($0 - $1) }
        largestDifference = isComparable ? differences.max() ?? 0 : .infinity
        if !isComparable || largestDifference > tolerance.largestDifference {
            verdict = .differs
        } else if answered == expected {
            verdict = .agrees
        } else {
            let lead = recorded[expected] - recorded[answered]
            verdict = lead <= tolerance.nearTie ? .nearTie : .differs
        }
    }
}

/// How far answers may lie from the recorded ones.
public struct Tolerance: Equatable, Sendable {
    /// Of one label's probability; infinite where only the first label counts.
    public let largestDifference: Float
    /// How much likelier the trained model may hold its own first label than the answered one.
    public let nearTie: Float
    /// The least share of images, near-ties apart, that must agree; below 1, one may always differ.
    public let agreement: Double

    /// What an artifact is held to on a device.
    ///
    /// From `TOLERANCES` in `runtime/mobilecv_runtime/parity.py`, with one difference: the numbers
    /// of float32 are held to ten times their bound, since a device adds up in another order, and
    /// all of it to the bounds of float16 unless it runs on the CPU, since GPU and Neural Engine
    /// compute in float16.
    public static func on(_ precision: Precision, isCPU: Bool) -> Tolerance {
        switch precision {
        case .float32 where isCPU:
            return Tolerance(largestDifference: 1e-4, nearTie: 2e-5, agreement: 1)
        case .float32, .float16:
            return Tolerance(largestDifference: 2e-2, nearTie: 2e-2, agreement: 1)
        case .int8Weights, .int8:
            return Tolerance(largestDifference: .infinity, nearTie: 0.1, agreement: 0.97)
        }
    }

    /// Whether all golden images together speak for the model.
    public func accepts(_ answers: [Agreement]) -> Bool {
        guard !answers.isEmpty, answers.allSatisfy(\.largestDifference.isFinite) else {
            return false
        }
        let judged = Double(answers.filter { $0.verdict != .nearTie }.count)
        let differing = Double(answers.filter { !$0.agrees }.count)
        return differing <= (agreement < 1 ? max((1 - agreement) * judged, 1) : 0)
    }
}
