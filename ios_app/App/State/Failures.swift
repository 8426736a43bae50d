/// What went wrong last, each told on the screen where it happened until something succeeds there.
struct Failures: Equatable, Sendable {
    /// An imported bundle that could not be used at the start; told on the first screen and in the
    /// settings, since another model stands in for it.
    var start: String?
    /// Of importing a bundle, of going back to the app's own, and of that one.
    var model: String?
    var photo: String?
    var camera: String?
}
