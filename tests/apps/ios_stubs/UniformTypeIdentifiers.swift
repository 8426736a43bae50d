public struct UTType: Hashable, Sendable {
    public static var folder: UTType { UTType() }
}
