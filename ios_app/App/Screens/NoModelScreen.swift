import SwiftUI

/// What to do when no model has been put into the app yet.
struct NoModelScreen: View {
    @ObservedObject var session: ClassifierSession

    var body: some View {
        VStack(spacing: 16) {
            Text("No model yet")
                .font(.title)
            Text("Put one into this app on your computer, and build it again:")
            Text("mobilecv export model.h5 --to mlpackage --app ios_app")
                .font(.footnote.monospaced())
                .textSelection(.enabled)
            Text("Or import a bundle, the folder that ends in -mobilecv, from Files.")
            ImportButton(session: session)
            FailureNote(message: session.failures.start)
            FailureNote(message: session.failures.model)
        }
        .multilineTextAlignment(.center)
        .padding()
    }
}
