import ClassifierCore

/// The model on this device against the trained model, on the bundle's golden images.
struct SelfCheck: Equatable, Sendable {
    /// One per golden image, in their order.
    let rows: [Row]
    let tolerance: Tolerance

    struct Row: Equatable, Identifiable, Sendable {
        /// The name of the golden image.
        let id: String
        let agreement: Agreement
    }

    var agreed: Int { rows.filter(\.agreement.agrees).count }
    var isRight: Bool { tolerance.accepts(rows.map(\.agreement)) }
    var largestDifference: Float { rows.map(\.agreement.largestDifference).max() ?? 0 }

    /// Ask the model about every golden image, as it is: without crop, resize or colour conversion.
    static func run(_ installed: InstalledModel, units: ComputeUnits) async throws -> SelfCheck {
        let engine = InferenceEngine(installed, units: units)
        let tolerance = Tolerance.on(installed.artifact.precision, isCPU: units == .cpu)
        var rows: [Row] = []
        for image in try installed.bundle.golden() {
            let pixels = try PhotoDecoder.storedPixels(
                image.png, channels: installed.image.channels)
            let answer = try await engine.answer(pixels)
            let agreement = Agreement(
                answer: answer.scores, recorded: image.scores, tolerance: tolerance)
            rows.append(Row(id: image.name, agreement: agreement))
        }
        return SelfCheck(rows: rows, tolerance: tolerance)
    }
}
