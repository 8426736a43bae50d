import ClassifierCore
import Foundation
import XCTest

/// What Python, Kotlin and Swift must all make of the same photos: `tests/golden/pixels/`.
struct GoldenVectors: Decodable {
    let photos: [String: Photo]
    let fits: [Fit]
    let largePhoto: Size
    let largeFits: [LargeFit]
    let orientations: [Orientation]
    let topK: [TopK]

    struct Photo: Decodable {
        let height: Int
        let width: Int
        let offset: Int
    }
    struct Size: Decodable {
        let height: Int
        let width: Int
    }
    struct Fit: Decodable {
        let photo: String
        let image: ImageInput
        let offset: Int
    }
    struct LargeFit: Decodable {
        let image: ImageInput
        let sha256: String
    }
    struct Orientation: Decodable {
        let photo: String
        let exif: Int
        let height: Int
        let width: Int
        let offset: Int
    }
    struct TopK: Decodable {
        let scores: [Float]
        let k: Int
        let indices: [Int]
    }
    enum CodingKeys: String, CodingKey {
        case photos
        case fits
        case largePhoto = "large_photo"
        case largeFits = "large_fits"
        case orientations
        case topK = "top_k"
    }

    /// The folder that a project of `mobilecv app ios` brings along, or the one beside the
    /// repository's other tests, or the one that `MOBILECV_GOLDEN` names.
    private static func folder() throws -> URL {
        if let named = ProcessInfo.processInfo.environment["MOBILECV_GOLDEN"] {
            return URL(fileURLWithPath: named)
        }
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let folder = ["../golden-pixels", "../../tests/golden/pixels"]
            .map { package.appendingPathComponent($0).standardizedFileURL }
            .first { FileManager.default.fileExists(atPath: $0.path) }
        // Such as in a copy of the package alone.
        guard let folder else {
            throw XCTSkip("No golden vectors here; name their folder in MOBILECV_GOLDEN.")
        }
        return folder
    }

    static func load() throws -> (cases: GoldenVectors, bytes: [UInt8]) {
        let folder = try folder()
        let json = try Data(contentsOf: folder.appendingPathComponent("cases.json"))
        let bytes = try Data(contentsOf: folder.appendingPathComponent("pixels.bin"))
        return (try JSONDecoder().decode(GoldenVectors.self, from: json), [UInt8](bytes))
    }
}

extension Array where Element == UInt8 {
    /// The picture that lies at an offset.
    func picture(at offset: Int, width: Int, height: Int, channels: Int) throws -> Pixels {
        let end = offset + width * height * channels
        return try Pixels(
            width: width, height: height, channels: channels, bytes: Array(self[offset..<end]))
    }
}
