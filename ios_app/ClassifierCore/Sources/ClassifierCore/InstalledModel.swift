import Foundation

/// A bundle whose Core ML file has been compiled, ready to be loaded.
public struct InstalledModel: Equatable, Sendable {
    public let bundle: BundleFolder
    /// The entry of the Core ML file in the manifest.
    public let artifact: Artifact
    /// The folder `*.mlmodelc`.
    public let compiledModel: URL

    public var image: ImageInput { bundle.manifest.image }
    public var labels: [String] { bundle.labels }
}

extension Manifest {
    /// The artifacts that Core ML reads, in the order in which they are preferred: `.mlpackage`
    /// before `.mlmodel`. Both compile to the same name, so that only one can be in an app.
    public var coreMLArtifacts: [Artifact] {
        let packages = artifacts.filter { $0.file.hasSuffix(".mlpackage") }
        return packages + artifacts.filter { $0.file.hasSuffix(".mlmodel") }
    }
}
