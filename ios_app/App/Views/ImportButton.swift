import SwiftUI
import UniformTypeIdentifiers

/// Lets the person choose a bundle folder in Files.
struct ImportButton: View {
    @ObservedObject var session: ClassifierSession
    @State private var isChoosing = false

    var body: some View {
        Button("Import a bundle") { isChoosing = true }
            .disabled(session.isBusy)
            .fileImporter(isPresented: $isChoosing, allowedContentTypes: [.folder]) { picked in
                Task { await session.importBundle(picked) }
            }
    }
}
