/// Who crops and resizes a photo.
enum PixelPath: String, CaseIterable, Identifiable, Sendable {
    /// `ClassifierCore`: the very bytes that Python prepares from the same decoded photo.
    case exact = "Exact"
    /// Vision, told the manifest's fit; its resampling is not documented, so pixels differ a little.
    case system = "System"

    var id: String { rawValue }
}
