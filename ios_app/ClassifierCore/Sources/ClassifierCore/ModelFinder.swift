import Foundation

/// Finds a bundle and its compiled model in a folder by looking, never by a name known beforehand.
public enum ModelFinder {
    /// The model of a folder: that of the app itself, or one that was imported.
    ///
    /// - Returns: nil if the folder holds no manifest, so that no model has been put there yet.
    /// - Throws: `BundleError` if there is a manifest, but no model that fits it.
    public static func find(in folder: URL) throws -> InstalledModel? {
        let manifest = folder.appendingPathComponent(Manifest.fileName)
        guard FileManager.default.fileExists(atPath: manifest.path) else { return nil }
        let bundle = try BundleFolder.open(folder)
        let compiled = try compiledModels(in: folder)
        for artifact in bundle.manifest.coreMLArtifacts {
            if let model = compiled.first(where: { stem($0) == artifact.stem }) {
                return InstalledModel(bundle: bundle, artifact: artifact, compiledModel: model)
            }
        }
        throw BundleError(missing(bundle.manifest))
    }

    private static func compiledModels(in folder: URL) throws -> [URL] {
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        return files.filter { $0.pathExtension == "mlmodelc" }
    }

    private static func stem(_ url: URL) -> String {
        url.deletingPathExtension().lastPathComponent
    }

    private static func missing(_ manifest: Manifest) -> String {
        let files = manifest.coreMLArtifacts.map(\.file).joined(separator: " or ")
        if files.isEmpty {
            return "The bundle \"\(manifest.name)\" holds no Core ML file. "
                + "Export it again with --to mlpackage."
        }
        return "The bundle \"\(manifest.name)\" is here, but not \(files). "
            + "Put it into the folder Model and build again."
    }
}
