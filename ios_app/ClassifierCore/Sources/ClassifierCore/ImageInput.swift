/// The geometry of the one image that every artifact of a bundle takes.
public struct ImageInput: Codable, Equatable, Sendable {
    /// Rows in pixels.
    public let height: Int
    /// Columns in pixels.
    public let width: Int
    /// 3 for RGB pixels, 1 for gray ones.
    public let channels: Int
    public let fit: Fit
    /// With `crop`: which share, in (0, 1], of the largest central box is kept.
    public let cropFraction: Double
    public let resample: Resample

    /// How a photo of another shape gets to the model's size.
    public enum Fit: String, Codable, CaseIterable, Sendable {
        case crop
        case stretch
        case pad
    }

    /// The resampling filter, as Pillow names and computes it.
    public enum Resample: String, Codable, CaseIterable, Sendable {
        case bilinear
        case bicubic
        case nearest
    }

    public init(
        height: Int, width: Int, channels: Int, fit: Fit, cropFraction: Double, resample: Resample
    ) {
        self.height = height
        self.width = width
        self.channels = channels
        self.fit = fit
        self.cropFraction = cropFraction
        self.resample = resample
    }

    enum CodingKeys: String, CodingKey {
        case height
        case width
        case channels
        case fit
        case cropFraction = "crop_fraction"
        case resample
    }

    /// Refuse values that the geometry has no meaning for.
    ///
    /// - Throws: `BundleError` that names the value.
    func check() throws {
        guard height >= 1, width >= 1 else {
            throw BundleError("The image size \(width)x\(height) in the manifest has no pixels.")
        }
        guard channels == 1 || channels == 3 else {
            throw BundleError("The manifest asks for \(channels) channels; only 1 and 3 are known.")
        }
        guard cropFraction > 0, cropFraction <= 1 else {
            throw BundleError("The crop fraction \(cropFraction) must be above 0 and at most 1.")
        }
    }
}
