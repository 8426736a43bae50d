import ClassifierCore
import CoreML
import Foundation

/// Brings a bundle from Files into the app, and keeps it for the next start.
enum BundleImporter {
    /// Where the imported bundle lies; there is one at most.
    static func folder() throws -> URL {
        let support = try FileManager.default.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil,
            create: true)
        return support.appendingPathComponent("ImportedBundle")
    }

    /// Check a bundle, compile its model, and put both in place of an earlier import.
    ///
    /// - Parameter picked: The folder that the person chose, with access granted by the system.
    /// - Throws: What is wrong with the bundle; then an earlier import is as it was.
    static func bring(from picked: URL) async throws -> InstalledModel {
        let hasAccess = picked.startAccessingSecurityScopedResource()
        defer {
            if hasAccess { picked.stopAccessingSecurityScopedResource() }
        }
        let bundle = try BundleFolder.open(picked)
        let source = try BundleInstaller.coreMLFile(of: bundle)
        let compiled = try await MLModel.compileModel(at: source)
        return try BundleInstaller.install(
            bundle, compiledModel: compiled, of: source, into: folder())
    }

    /// Forget the imported bundle.
    static func remove() throws {
        try BundleInstaller.remove(folder())
    }
}
