/// What the model says of one picture, and how long it took.
struct Answer: Equatable, Sendable {
    /// One probability per label, in the order of `labels.txt`.
    let scores: [Float]
    /// Milliseconds for crop and resize; nil on the system path, where Vision does both in one go.
    let preparationMilliseconds: Double?
    /// Milliseconds for Core ML, or for Vision and Core ML together.
    let inferenceMilliseconds: Double
}
