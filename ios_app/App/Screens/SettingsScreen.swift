import ClassifierCore
import SwiftUI

/// Who resizes, where it computes, what is shown, and which model.
struct SettingsScreen: View {
    @ObservedObject var session: ClassifierSession
    let installed: InstalledModel

    var body: some View {
        Form {
            Section("Pixels") {
                Picker("Crop and resize", selection: $session.preferences.path) {
                    ForEach(PixelPath.allCases) { path in Text(path.rawValue).tag(path) }
                }
                Text("Exact: the same pixels as Python. System: Vision's crop and scale.")
                    .font(.footnote)
            }
            Section("Core ML") {
                Picker("Compute on", selection: $session.preferences.units) {
                    ForEach(ComputeUnits.allCases) { units in Text(units.rawValue).tag(units) }
                }
            }
            Section("Answer") {
                Stepper(
                    "Labels: \(session.preferences.count)", value: $session.preferences.count,
                    in: 1...20)
                Slider(value: $session.preferences.threshold, in: 0...1)
                Text(threshold)
                    .font(.footnote)
            }
            Section("Model") {
                Text(description)
                ImportButton(session: session)
                Button("Use the app's own model") { session.removeImport() }
                FailureNote(message: session.failures.start)
                FailureNote(message: session.failures.model)
            }
        }
    }

    private var threshold: String {
        "Hide labels below \(Int(session.preferences.threshold * 100)) %"
    }

    private var description: String {
        let image = installed.image
        let colors = image.channels == 1 ? "gray" : "RGB"
        return "\(installed.bundle.manifest.name): \(installed.artifact.file), "
            + "\(image.width)x\(image.height) \(colors), \(image.fit.rawValue), "
            + "\(image.resample.rawValue), \(installed.labels.count) labels"
    }
}
