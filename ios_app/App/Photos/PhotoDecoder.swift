import ClassifierCore
import CoreGraphics
import Foundation
import ImageIO

/// From the bytes of an image file to upright pixels (rules 1 to 3 of the geometry).
///
/// ImageIO decodes, so that a JPEG's pixels may differ by a level or two from Pillow's; all that
/// comes afterwards is exact. Transparent pixels come out black, where Pillow drops their alpha.
enum PhotoDecoder {
    /// The largest photo that is decoded, in pixels: `MAX_IMAGE_PIXELS` of Pillow, as in Python.
    private static let largest = 1024 * 1024 * 1024 / 4 / 3

    /// The first frame of a photo: upright, sRGB, 8 bits, RGB.
    static func decode(_ file: Data) throws -> Pixels {
        let source = try source(of: file)
        let image = try firstImage(of: source)
        guard let sRGB = CGColorSpace(name: CGColorSpace.sRGB) else {
            throw AppFailure("This device has no sRGB colour space.")
        }
        // A gray photo is copied level by level, since it seldom has a profile worth the name.
        let isGray = image.colorSpace?.model == .monochrome
        let space = isGray ? image.colorSpace ?? sRGB : sRGB
        let stored = isGray ? try gray(image, in: space).colored() : try rgb(image, in: space)
        return stored.upright(exif: orientation(of: source))
    }

    /// The pixels of a golden image as they are stored, with no conversion of colours.
    static func storedPixels(_ png: Data, channels: Int) throws -> Pixels {
        let image = try firstImage(of: source(of: png))
        guard let space = image.colorSpace else {
            throw AppFailure("A golden image has no colour space. Export the model again.")
        }
        return channels == 1 ? try gray(image, in: space) : try rgb(image, in: space)
    }

    private static func source(of file: Data) throws -> CGImageSource {
        guard let source = CGImageSourceCreateWithData(file as CFData, nil) else {
            throw AppFailure("This is not an image that the system can read.")
        }
        return source
    }

    private static func firstImage(of source: CGImageSource) throws -> CGImage {
        guard let image = CGImageSourceCreateImageAtIndex(source, 0, nil) else {
            throw AppFailure("The image cannot be decoded.")
        }
        guard image.width * image.height <= largest else {
            throw AppFailure("\(image.width)x\(image.height) pixels are too many for this app.")
        }
        return image
    }

    /// The EXIF orientation tag, 1 when there is none.
    private static func orientation(of source: CGImageSource) -> Int {
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [String: Any]
        return properties?[kCGImagePropertyOrientation as String] as? Int ?? 1
    }

    private static func rgb(_ image: CGImage, in space: CGColorSpace) throws -> Pixels {
        let drawn = try draw(
            image, in: space, bytesPerPixel: 4, alpha: CGImageAlphaInfo.noneSkipLast)
        return try Pixels.read(
            .rgbx, from: drawn, width: image.width, height: image.height,
            rowBytes: 4 * image.width)
    }

    private static func gray(_ image: CGImage, in space: CGColorSpace) throws -> Pixels {
        let bytes = try draw(image, in: space, bytesPerPixel: 1, alpha: CGImageAlphaInfo.none)
        return try Pixels(width: image.width, height: image.height, channels: 1, bytes: bytes)
    }

    /// Draw at the image's own size into memory of a colour space, top row first.
    private static func draw(
        _ image: CGImage, in space: CGColorSpace, bytesPerPixel: Int, alpha: CGImageAlphaInfo
    ) throws -> [UInt8] {
        let rowBytes = image.width * bytesPerPixel
        var bytes = [UInt8](repeating: 0, count: rowBytes * image.height)
        let isDrawn = bytes.withUnsafeMutableBytes { memory -> Bool in
            guard
                let context = CGContext(
                    data: memory.baseAddress, width: image.width, height: image.height,
                    bitsPerComponent: 8, bytesPerRow: rowBytes, space: space,
                    bitmapInfo: alpha.rawValue)
            else { return false }
            context.interpolationQuality = .none
            context.draw(
                image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
            return true
        }
        guard isDrawn else {
            throw AppFailure("The image's colours cannot be read (\(space)).")
        }
        return bytes
    }
}
