import ClassifierCore
import Combine
import CoreGraphics
import Foundation

/// What all screens share: the model, the preferences, and the last answer of photo and camera.
@MainActor
final class ClassifierSession: ObservableObject {
    enum Model: Equatable {
        case searching
        /// Neither in the app nor imported.
        case missing
        case ready(InstalledModel)
    }

    @Published private(set) var model = Model.searching
    @Published private(set) var photo: CGImage?
    @Published private(set) var photoAnswer: Answer?
    @Published private(set) var cameraAnswer: Answer?
    @Published private(set) var isBusy = false
    @Published private(set) var failures = Failures()
    @Published var preferences = Preferences() {
        didSet { preferencesChanged(from: oldValue) }
    }

    private var engine: InferenceEngine?
    private var photoPixels: Pixels?

    /// Look for a model: first the imported one, then that of the app.
    func findModel() {
        do {
            let imported = try ModelFinder.find(in: BundleImporter.folder())
            if let imported {
                use(imported)
                return
            }
        } catch {
            failures.start = "The imported bundle: \(error.localizedDescription)"
        }
        useOwnModel()
    }

    /// Take a bundle that the person chose in Files.
    func importBundle(_ picked: Result<URL, Error>) async {
        isBusy = true
        defer { isBusy = false }
        do {
            use(try await BundleImporter.bring(from: picked.get()))
            failures.start = nil
            failures.model = nil
        } catch {
            failures.model = error.localizedDescription
        }
    }

    /// Go back to the model that was built into the app.
    func removeImport() {
        do {
            try BundleImporter.remove()
            failures.start = nil
            failures.model = nil
        } catch {
            failures.model = error.localizedDescription
        }
        useOwnModel()
    }

    /// Decode a photo, show it and classify it.
    func classify(photo file: Data) async {
        do {
            let pixels = try await Task.detached { try PhotoDecoder.decode(file) }.value
            photoPixels = pixels
            photo = pixels.picture()
            await classifyPhoto()
        } catch {
            photoFailed(error)
        }
    }

    /// Classify a frame of the camera; whoever calls waits, so that frames cannot pile up.
    func classify(_ frame: CameraFrame) async {
        guard let engine else { return }
        do {
            cameraAnswer = try await engine.classify(frame, by: preferences.path)
            failures.camera = nil
        } catch {
            cameraFailed(error)
        }
    }

    /// Tell on the photo screen what went wrong.
    func photoFailed(_ error: Error) {
        failures.photo = error.localizedDescription
    }

    /// Tell on the camera screen what went wrong.
    func cameraFailed(_ error: Error) {
        failures.camera = error.localizedDescription
    }

    private func useOwnModel() {
        do {
            if let own = try ModelFinder.find(in: Bundle.main.bundleURL) {
                use(own)
            } else {
                model = .missing
            }
        } catch {
            model = .missing
            failures.model = error.localizedDescription
        }
    }

    private func use(_ installed: InstalledModel) {
        model = .ready(installed)
        engine = InferenceEngine(installed, units: preferences.units)
        photoAnswer = nil
        cameraAnswer = nil
        Task { await classifyPhoto() }
    }

    private func classifyPhoto() async {
        guard let engine, let photoPixels else { return }
        isBusy = true
        defer { isBusy = false }
        do {
            photoAnswer = try await engine.classify(photoPixels, by: preferences.path)
            failures.photo = nil
        } catch {
            photoAnswer = nil
            photoFailed(error)
        }
    }

    private func preferencesChanged(from old: Preferences) {
        if old.units != preferences.units, case .ready(let installed) = model {
            use(installed)
        } else if old.path != preferences.path {
            Task { await classifyPhoto() }
        }
    }
}
