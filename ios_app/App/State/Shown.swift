import ClassifierCore

/// An answer in words, as the screens show it.
struct Shown: Equatable, Sendable {
    let lines: [Line]
    /// Such as "Core ML 3.1 ms, crop and resize 12.0 ms".
    let timing: String

    struct Line: Equatable, Identifiable, Sendable {
        /// The place in `labels.txt`.
        let id: Int
        let label: String
        /// 0..1
        let probability: Float
    }

    init(_ answer: Answer, labels: [String], preferences: Preferences) {
        lines = topK(answer.scores, preferences.count)
            .filter { Double($0.score) >= preferences.threshold }
            .map { Line(id: $0.index, label: labels[$0.index], probability: $0.score) }
        timing = Shown.words(for: answer)
    }

    private static func words(for answer: Answer) -> String {
        let inference = rounded(answer.inferenceMilliseconds)
        guard let preparation = answer.preparationMilliseconds else {
            return "Vision and Core ML \(inference) ms"
        }
        return "Core ML \(inference) ms, crop and resize \(rounded(preparation)) ms"
    }

    private static func rounded(_ milliseconds: Double) -> String {
        "\((milliseconds * 10).rounded() / 10)"
    }
}
