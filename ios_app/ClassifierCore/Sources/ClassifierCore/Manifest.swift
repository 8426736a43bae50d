import Foundation

/// The manifest `mobilecv.json`, as far as an app needs it.
///
/// The schema is `runtime/mobilecv_runtime/schema/mobilecv-1.schema.json`. The part
/// `preprocessing` is left out on purpose: it happens inside the model, and an app that knew it
/// might repeat it.
public struct Manifest: Decodable, Equatable, Sendable {
    /// The model's name.
    public let name: String
    /// The one image that every artifact takes.
    public let image: ImageInput
    /// What the model's scores are.
    public let head: HeadEntry
    public let labels: LabelsEntry
    public let golden: GoldenEntry
    public let artifacts: [Artifact]

    /// The name of the file in a bundle.
    public static let fileName = "mobilecv.json"

    /// Read the bytes of a `mobilecv.json`.
    ///
    /// - Throws: `BundleError` if it is another kind of file, of a later version, or damaged.
    public static func parse(_ data: Data) throws -> Manifest {
        let decoder = JSONDecoder()
        guard let header = try? decoder.decode(Header.self, from: data),
            header.format == "mobilecv-bundle"
        else {
            throw BundleError("\(fileName) is not the manifest of a mobilecv bundle.")
        }
        guard header.version == 1 else {
            throw BundleError(
                "\(fileName) is of version \(header.version), this app reads 1. "
                    + "Update the app, or export the model again.")
        }
        do {
            let manifest = try decoder.decode(Manifest.self, from: data)
            try manifest.image.check()
            try manifest.head.check()
            try manifest.checkPaths()
            return manifest
        } catch let error as DecodingError {
            throw BundleError("\(fileName) is damaged: \(describe(error)). Export the model again.")
        }
    }

    private func checkPaths() throws {
        for path in [labels.file, golden.file] + artifacts.map(\.file) {
            guard staysInside(path) else {
                throw BundleError(
                    "\(Manifest.fileName) names \"\(path)\", which leads out of the bundle.")
            }
        }
    }

    private struct Header: Decodable {
        let format: String
        let version: Int
    }
}

/// The head of the trained model; it happens inside every artifact.
public struct HeadEntry: Decodable, Equatable, Sendable {
    public let kind: String

    private static let labelling: Set = [
        "softmax", "logits", "sigmoid", "sigmoid-logits", "multi-label", "multi-label-logits",
    ]

    /// - Throws: `BundleError` if the scores are no probabilities of labels, which is all that the
    ///   app can show.
    func check() throws {
        guard HeadEntry.labelling.contains(kind) else {
            throw BundleError(
                "The model's head is \"\(kind)\", but this app shows probabilities of labels only.")
        }
    }
}

/// Where the labels lie.
public struct LabelsEntry: Decodable, Equatable, Sendable {
    /// The path of the label file, relative to the bundle.
    public let file: String
    public let count: Int
    /// SHA-256 of the file, in lower-case hexadecimal digits.
    public let sha256: String
}

/// Where the golden images and their scores lie.
public struct GoldenEntry: Decodable, Equatable, Sendable {
    /// The path of `golden.json`, relative to the bundle.
    public let file: String
    /// SHA-256 of that file, in lower-case hexadecimal digits.
    public let sha256: String

    /// The path, relative to the bundle, of a file beside `golden.json`.
    func sibling(_ name: String) -> String {
        ((file as NSString).deletingLastPathComponent as NSString).appendingPathComponent(name)
    }
}

/// One exported file.
public struct Artifact: Decodable, Equatable, Sendable {
    /// The target it is of, such as `mlpackage`.
    public let id: String
    /// Its path relative to the bundle.
    public let file: String
    public let precision: Precision
    public let input: Input
    public let output: Output

    public struct Input: Decodable, Equatable, Sendable {
        /// The name of the model's input.
        public let name: String
        /// `image` for Core ML files.
        public let layout: String
    }

    public struct Output: Decodable, Equatable, Sendable {
        /// The name of the model's output with the probabilities.
        public let name: String
    }

    /// Its name without suffix, which a compiled model bears too.
    var stem: String {
        URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    }

    /// Whether Core ML reads it.
    public var isCoreML: Bool {
        file.hasSuffix(".mlmodel") || file.hasSuffix(".mlpackage")
    }
}

/// What the numbers inside an artifact are; it decides how close its scores must come.
public enum Precision: String, Decodable, Sendable {
    case float32
    case float16
    case int8Weights = "int8-weights"
    case int8
}

/// Whether a path that a bundle names lies in that bundle.
func staysInside(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return !path.isEmpty && !parts.contains("..") && !path.hasPrefix("/")
}

private func describe(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context):
        return "\"\(key.stringValue)\" is missing\(place(context.codingPath))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
        return "a value is of the wrong type\(place(context.codingPath))"
    case .dataCorrupted(let context):
        return "\(context.debugDescription)\(place(context.codingPath))"
    @unknown default:
        return "it cannot be read"
    }
}

private func place(_ path: [CodingKey]) -> String {
    path.isEmpty ? "" : " at " + path.map(\.stringValue).joined(separator: ".")
}
