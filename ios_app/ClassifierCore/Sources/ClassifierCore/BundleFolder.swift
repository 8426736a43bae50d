import Foundation

/// A bundle that has been opened: what its manifest says, its labels and its golden images.
public struct BundleFolder: Equatable, Sendable {
    /// The folder that holds `mobilecv.json`.
    public let url: URL
    public let manifest: Manifest
    /// The names of the classes, in the order of the scores.
    public let labels: [String]

    /// Read a bundle's manifest and labels.
    ///
    /// - Throws: `BundleError` if it is no bundle, or incomplete, altered or of a later version.
    public static func open(_ url: URL) throws -> BundleFolder {
        let manifest = try Manifest.parse(read(Manifest.fileName, in: url))
        let labelData = try read(manifest.labels.file, in: url)
        try check(labelData, against: manifest.labels.sha256, name: manifest.labels.file)
        let labels = try parseLabels(labelData)
        guard labels.count == manifest.labels.count else {
            throw BundleError(
                "\(manifest.labels.file) has \(labels.count) labels, the manifest says "
                    + "\(manifest.labels.count). Export the model again.")
        }
        return BundleFolder(url: url, manifest: manifest, labels: labels)
    }

    /// The golden images with the trained model's scores on them.
    ///
    /// - Throws: `BundleError` if a file is missing or altered, or scores and labels do not match.
    public func golden() throws -> [GoldenImage] {
        let data = try BundleFolder.read(manifest.golden.file, in: url)
        try BundleFolder.check(data, against: manifest.golden.sha256, name: manifest.golden.file)
        let entries: GoldenFile
        do {
            entries = try JSONDecoder().decode(GoldenFile.self, from: data)
        } catch {
            throw BundleError("\(manifest.golden.file) is damaged. Export the model again.")
        }
        return try entries.images.map { entry in
            guard entry.scores.count == labels.count else {
                throw BundleError(
                    "\(entry.file) has \(entry.scores.count) scores for \(labels.count) labels.")
            }
            let path = manifest.golden.sibling(entry.file)
            guard staysInside(entry.file) else {
                throw BundleError("\(path) leads out of the bundle.")
            }
            let png = try BundleFolder.read(path, in: url)
            try BundleFolder.check(png, against: entry.sha256, name: path)
            return GoldenImage(name: entry.file, png: png, scores: entry.scores)
        }
    }

    /// Read a file of a bundle.
    ///
    /// Xcode copies the files of sub-folders flat into an app, so a file is also looked for by its
    /// name alone.
    private static func read(_ path: String, in folder: URL) throws -> Data {
        let places = [path, (path as NSString).lastPathComponent]
        for place in places {
            if let data = try? Data(contentsOf: folder.appendingPathComponent(place)) {
                return data
            }
        }
        throw BundleError("\(path) is missing in the bundle. Export the model again.")
    }

    private static func check(_ data: Data, against digest: String, name: String) throws {
        guard sha256([UInt8](data)) == digest else {
            throw BundleError("\(name) has changed since the export. Export the model again.")
        }
    }

    private struct GoldenFile: Decodable {
        let images: [Entry]

        struct Entry: Decodable {
            let file: String
            let sha256: String
            let scores: [Float]
        }
    }
}

/// One prepared image, and what the trained model answers on it.
public struct GoldenImage: Equatable, Sendable {
    public let name: String
    /// A PNG file of the model's size, in its prepared pixels.
    public let png: Data
    /// One probability per label.
    public let scores: [Float]
}
