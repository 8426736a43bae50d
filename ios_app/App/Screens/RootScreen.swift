import ClassifierCore
import SwiftUI

/// The tabs, or the way to a model when there is none.
struct RootScreen: View {
    @ObservedObject var session: ClassifierSession

    var body: some View {
        Group {
            switch session.model {
            case .searching:
                ProgressView()
            case .missing:
                NoModelScreen(session: session)
            case .ready(let installed):
                tabs(installed)
            }
        }
        .onAppear { session.findModel() }
    }

    private func tabs(_ installed: InstalledModel) -> some View {
        TabView {
            PhotoScreen(session: session, installed: installed)
                .tabItem { Label("Photo", systemImage: "photo") }
            CameraScreen(session: session, installed: installed)
                .tabItem { Label("Camera", systemImage: "camera") }
            SelfCheckScreen(session: session, installed: installed)
                .tabItem { Label("Self-check", systemImage: "checkmark.seal") }
            SettingsScreen(session: session, installed: installed)
                .tabItem { Label("Settings", systemImage: "gearshape") }
        }
    }
}
