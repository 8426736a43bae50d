/// A box of whole pixels inside a photo.
public struct CropBox: Equatable, Sendable {
    public let left: Int
    public let top: Int
    public let width: Int
    public let height: Int

    /// The box in shares, 0..1, of its photo's sides, counted from the lower left corner as Vision
    /// counts (developer.apple.com, `VNImageBasedRequest.regionOfInterest`).
    public func shares(ofWidth photoWidth: Int, height photoHeight: Int) -> RelativeBox {
        RelativeBox(
            left: Double(left) / Double(photoWidth),
            bottom: Double(photoHeight - top - height) / Double(photoHeight),
            width: Double(width) / Double(photoWidth),
            height: Double(height) / Double(photoHeight))
    }
}

/// A box in shares, 0..1, of a photo's sides.
public struct RelativeBox: Equatable, Sendable {
    public let left: Double
    public let bottom: Double
    public let width: Double
    public let height: Double
}

/// Rule 5: the largest centred box of the model's shape, shrunk by `cropFraction`.
///
/// - Parameters:
///   - width: Columns of the photo.
///   - height: Rows of the photo.
///   - image: The wanted geometry; only the shape of its size counts.
public func cropBox(width: Int, height: Int, image: ImageInput) -> CropBox {
    let across = Double(width) / Double(image.width)
    let down = Double(height) / Double(image.height)
    let ratio = min(across, down) * image.cropFraction
    let boxWidth = min(width, max(1, Int(Double(image.width) * ratio + 0.5)))
    let boxHeight = min(height, max(1, Int(Double(image.height) * ratio + 0.5)))
    return CropBox(
        left: (width - boxWidth) / 2, top: (height - boxHeight) / 2, width: boxWidth,
        height: boxHeight)
}

/// Rule 5 with `pad`: how large a photo stands inside its black frame, at least one pixel each.
public func paddedSize(width: Int, height: Int, image: ImageInput) -> (width: Int, height: Int) {
    let across = Double(image.width) / Double(width)
    let down = Double(image.height) / Double(height)
    let ratio = min(across, down)
    return (
        max(1, Int(Double(width) * ratio + 0.5)), max(1, Int(Double(height) * ratio + 0.5))
    )
}
