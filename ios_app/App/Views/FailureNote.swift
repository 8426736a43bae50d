import SwiftUI

/// A failure in words; nothing if there is none.
struct FailureNote: View {
    let message: String?

    var body: some View {
        if let message {
            Label(message, systemImage: "exclamationmark.triangle")
                .foregroundStyle(Color.red)
        }
    }
}
