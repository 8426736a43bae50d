import ClassifierCore
import PhotosUI
import SwiftUI

/// A photo from the library, and what the model says of it.
struct PhotoScreen: View {
    @ObservedObject var session: ClassifierSession
    let installed: InstalledModel
    @State private var selection: PhotosPickerItem?

    var body: some View {
        VStack(spacing: 16) {
            picture
            PhotosPicker(
                selection: $selection, matching: .images, preferredItemEncoding: .current
            ) {
                Label("Choose a photo", systemImage: "photo.on.rectangle")
            }
            .buttonStyle(.borderedProminent)
            AnswerView(shown: shown)
            FailureNote(message: session.failures.photo)
            FailureNote(message: session.failures.start)
            Spacer()
        }
        .padding()
        .overlay { if session.isBusy { ProgressView() } }
        .task(id: selection) { await load() }
    }

    @ViewBuilder
    private var picture: some View {
        if let photo = session.photo {
            Image(decorative: photo, scale: 1)
                .resizable()
                .scaledToFit()
        } else {
            Text(installed.bundle.manifest.name)
                .font(.title)
        }
    }

    private var shown: Shown? {
        session.photoAnswer.map {
            Shown($0, labels: installed.labels, preferences: session.preferences)
        }
    }

    private func load() async {
        guard let selection else { return }
        do {
            guard let file = try await selection.loadTransferable(type: Data.self) else {
                throw AppFailure("The photo could not be loaded from the library.")
            }
            await session.classify(photo: file)
        } catch {
            session.photoFailed(error)
        }
    }
}
