/// One label of an answer.
public struct Ranked: Equatable, Sendable {
    /// Its place in `labels.txt`, from 0.
    public let index: Int
    /// Its probability, 0..1.
    public let score: Float

    public init(index: Int, score: Float) {
        self.index = index
        self.score = score
    }
}

/// The k largest scores, the largest first; of equal ones the lowest index.
///
/// - Parameter k: How many are wanted; fewer come back when there are fewer scores.
public func topK(_ scores: [Float], _ k: Int) -> [Ranked] {
    let ranked = scores.enumerated().map { Ranked(index: $0.offset, score: $0.element) }
    let sorted = ranked.sorted { left, right in
        left.score != right.score ? left.score > right.score : left.index < right.index
    }
    return Array(sorted.prefix(max(k, 0)))
}
