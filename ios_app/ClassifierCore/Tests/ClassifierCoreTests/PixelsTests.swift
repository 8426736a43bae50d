import XCTest

import ClassifierCore

/// 0 differing bytes is the bar.
final class PixelsTests: XCTestCase {
    func testEveryPhotoInEveryGeometryIsPillowsToTheByte() throws {
        let (cases, bytes) = try GoldenVectors.load()
        XCTAssertGreaterThan(cases.fits.count, 300)
        for fit in cases.fits {
            let photo = try picture(fit.photo, of: cases, in: bytes)
            let expected = try bytes.picture(
                at: fit.offset, width: fit.image.width, height: fit.image.height,
                channels: fit.image.channels)
            XCTAssertEqual(try photo.prepared(for: fit.image), expected, "\(fit)")
        }
    }

    func testAPhonesPhotoOfTwelveMegapixelsIsPillowsToTheByte() throws {
        let (cases, _) = try GoldenVectors.load()
        let photo = try formula(width: cases.largePhoto.width, height: cases.largePhoto.height)
        XCTAssertEqual(cases.largeFits.count, 9)
        for fit in cases.largeFits {
            let start = Date()
            let prepared = try photo.prepared(for: fit.image)
            let milliseconds = Int(Date().timeIntervalSince(start) * 1000)
            print("12 MP, \(fit.image.fit), \(fit.image.resample): \(milliseconds) ms")
            XCTAssertEqual(sha256(prepared.bytes), fit.sha256, "\(fit.image)")
        }
    }

    func testTheCropBoxIsToldInSharesFromTheLowerLeft() {
        let image = ImageInput(
            height: 224, width: 224, channels: 3, fit: .crop, cropFraction: 0.875,
            resample: .bilinear)
        let upright = cropBox(width: 480, height: 640, image: image)
            .shares(ofWidth: 480, height: 640)
        XCTAssertEqual(upright.left, 30.0 / 480)
        XCTAssertEqual(upright.bottom, 110.0 / 640)
        XCTAssertEqual(upright.width, 0.875)
        XCTAssertEqual(upright.height, 420.0 / 640)
        // Five rows are too many: two above the box, three below it.
        let odd = cropBox(width: 8, height: 12, image: image).shares(ofWidth: 8, height: 12)
        XCTAssertEqual(odd.height, 7.0 / 12)
        XCTAssertEqual(odd.bottom, 3.0 / 12)
    }

    func testEveryOrientationStandsUpright() throws {
        let (cases, bytes) = try GoldenVectors.load()
        XCTAssertEqual(cases.orientations.map(\.exif), Array(1...8))
        for turned in cases.orientations {
            let stored = try picture(turned.photo, of: cases, in: bytes)
            let expected = try bytes.picture(
                at: turned.offset, width: turned.width, height: turned.height, channels: 3)
            XCTAssertEqual(stored.upright(exif: turned.exif), expected, "EXIF \(turned.exif)")
        }
    }

    func testALargePhotoThatIsTurnedThereAndBackIsTheSame() throws {
        let (cases, _) = try GoldenVectors.load()
        let photo = try formula(width: cases.largePhoto.width, height: cases.largePhoto.height)
        let start = Date()
        let turned = photo.upright(exif: 6)
        let milliseconds = Int(Date().timeIntervalSince(start) * 1000)
        print("12 MP, turned: \(milliseconds) ms")
        XCTAssertNotEqual(turned, photo)
        XCTAssertEqual(turned.upright(exif: 8), photo)
    }

    func testAnUnknownOrientationCountsAsUpright() throws {
        let pixels = try Pixels(width: 2, height: 1, channels: 1, bytes: [1, 2])
        XCTAssertEqual(pixels.upright(exif: 0), pixels)
        XCTAssertEqual(pixels.upright(exif: 9), pixels)
    }

    func testBytesThatDoNotFillThePictureAreRefused() {
        XCTAssertThrowsError(try Pixels(width: 2, height: 2, channels: 3, bytes: [1, 2, 3]))
        XCTAssertThrowsError(try Pixels(width: 0, height: 2, channels: 3, bytes: []))
    }

    func testAGrayPictureIsRefusedByAModelOfThreeChannels() throws {
        let gray = try Pixels(width: 1, height: 1, channels: 1, bytes: [7])
        let image = ImageInput(
            height: 4, width: 4, channels: 3, fit: .stretch, cropFraction: 1, resample: .bilinear)
        XCTAssertThrowsError(try gray.prepared(for: image))
    }

    private func picture(_ name: String, of cases: GoldenVectors, in bytes: [UInt8]) throws
        -> Pixels
    {
        let photo = try XCTUnwrap(cases.photos[name])
        return try bytes.picture(
            at: photo.offset, width: photo.width, height: photo.height, channels: 3)
    }

    /// `(7x + 13y + 29c + (xy mod 251)) mod 256`, as `make_pixels.py` computes it.
    private func formula(width: Int, height: Int) throws -> Pixels {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width {
                let level: Int = 7 * x + 13 * y + (x * y) % 251
                bytes.append(UInt8(level % 256))
                bytes.append(UInt8((level + 29) % 256))
                bytes.append(UInt8((level + 58) % 256))
            }
        }
        return try Pixels(width: width, height: height, channels: 3, bytes: bytes)
    }
}
