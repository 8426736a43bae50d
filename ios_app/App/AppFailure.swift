import Foundation

/// Something that the person in front of the screen must know; the message is shown as it is.
struct AppFailure: LocalizedError {
    let message: String

    init(_ message: String) {
        self.message = message
    }

    var errorDescription: String? { message }
}
