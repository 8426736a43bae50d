import SwiftUI

public protocol Transferable {}
extension Data: Transferable {}
public struct PHPickerFilter: Hashable, Sendable {
    public static var images: PHPickerFilter { .init() }
}
public struct PhotosPickerItem: Hashable, Sendable {
    public enum EncodingDisambiguationPolicy: Sendable { case automatic, current }
    public func loadTransferable<T: Transferable>(type: T.Type) async throws -> T? { nil }
}
public struct PhotosPicker<Content: View>: View {
    public init(
        selection: Binding<PhotosPickerItem?>, matching filter: PHPickerFilter? = nil,
        preferredItemEncoding: PhotosPickerItem.EncodingDisambiguationPolicy = .automatic,
        @ViewBuilder label: () -> Content
    ) {}
    public var body: Never { fatalError("never run") }
}
