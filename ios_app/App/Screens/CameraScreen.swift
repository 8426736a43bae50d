import ClassifierCore
import SwiftUI

/// The live camera, and what the model says of what it sees.
struct CameraScreen: View {
    @ObservedObject var session: ClassifierSession
    let installed: InstalledModel
    @StateObject private var feed = CameraFeed()

    var body: some View {
        VStack(spacing: 16) {
            CameraPreview(session: feed.session)
            AnswerView(shown: shown)
            FailureNote(message: session.failures.camera)
        }
        .padding()
        .task { await watch() }
        .onDisappear { feed.stop() }
    }

    private var shown: Shown? {
        session.cameraAnswer.map {
            Shown($0, labels: installed.labels, preferences: session.preferences)
        }
    }

    private func watch() async {
        do {
            for await frame in try await feed.start() {
                await session.classify(frame)
            }
        } catch {
            session.cameraFailed(error)
        }
    }
}
