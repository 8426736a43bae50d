import Foundation

/// A bundle, or a file in it, that cannot be used. The message says what was found and what to do.
public struct BundleError: LocalizedError, Equatable, Sendable {
    /// One or two sentences for the person in front of the screen.
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var errorDescription: String? { message }
}
