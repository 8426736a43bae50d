import Foundation

/// Copies a bundle with its compiled model to where the app finds it at the next start.
public enum BundleInstaller {
    /// The Core ML file of a bundle that is to be compiled.
    ///
    /// - Throws: `BundleError` if the bundle holds none.
    public static func coreMLFile(of bundle: BundleFolder) throws -> URL {
        for artifact in bundle.manifest.coreMLArtifacts {
            let file = bundle.url.appendingPathComponent(artifact.file)
            if FileManager.default.fileExists(atPath: file.path) { return file }
        }
        throw BundleError(
            "\"\(bundle.manifest.name)\" holds no Core ML file. Export it with --to mlpackage.")
    }

    /// Put a bundle into a folder, in place of what is there.
    ///
    /// - Parameters:
    ///   - bundle: The bundle to copy: manifest, labels and golden images.
    ///   - compiledModel: What its Core ML file was compiled to; it is moved.
    ///   - source: The Core ML file that was compiled; its name becomes the compiled model's.
    ///   - folder: Where to put it all.
    /// - Throws: If anything cannot be copied or read again; then the folder is as it was.
    public static func install(
        _ bundle: BundleFolder, compiledModel: URL, of source: URL, into folder: URL
    ) throws -> InstalledModel {
        let files = FileManager.default
        let staged = files.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? files.removeItem(at: staged) }
        try copy(bundle, to: staged)
        let stem = source.deletingPathExtension().lastPathComponent
        try files.moveItem(
            at: compiledModel, to: staged.appendingPathComponent("\(stem).mlmodelc"))
        _ = try found(in: staged)
        try remove(folder)
        try files.moveItem(at: staged, to: folder)
        return try found(in: folder)
    }

    /// Remove an installed bundle, if there is one.
    public static func remove(_ folder: URL) throws {
        if FileManager.default.fileExists(atPath: folder.path) {
            try FileManager.default.removeItem(at: folder)
        }
    }

    private static func copy(_ bundle: BundleFolder, to staged: URL) throws {
        let manifest = bundle.manifest
        let images = try bundle.golden().map { manifest.golden.sibling($0.name) }
        for path in [Manifest.fileName, manifest.labels.file, manifest.golden.file] + images {
            let target = staged.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                at: bundle.url.appendingPathComponent(path), to: target)
        }
    }

    private static func found(in folder: URL) throws -> InstalledModel {
        guard let model = try ModelFinder.find(in: folder) else {
            throw BundleError("The bundle could not be copied. Import it again.")
        }
        _ = try model.bundle.golden()
        return model
    }
}
