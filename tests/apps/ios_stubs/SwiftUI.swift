@_exported import Combine
@_exported import CoreGraphics
import UIKit
import UniformTypeIdentifiers

// Views.

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}
extension Never: View { public var body: Never { fatalError("never run") } }
extension Optional: View where Wrapped: View { public var body: Never { fatalError("never run") } }
public struct EmptyView: View {
    public init() {}
    public var body: Never { fatalError("never run") }
}
public struct Stub: View { public var body: Never { fatalError("never run") } }
public struct Either<A: View, B: View>: View { public var body: Never { fatalError("never run") } }
public struct TupleView<each V: View>: View { public var body: Never { fatalError("never run") } }

@resultBuilder
public enum ViewBuilder {
    public static func buildBlock() -> EmptyView { EmptyView() }
    public static func buildBlock<V: View>(_ view: V) -> V { view }
    public static func buildBlock<each V: View>(_ view: repeat each V) -> TupleView<repeat each V> {
        TupleView()
    }
    public static func buildExpression<V: View>(_ view: V) -> V { view }
    public static func buildIf<V: View>(_ view: V?) -> V? { view }
    public static func buildEither<A: View, B: View>(first: A) -> Either<A, B> { Either() }
    public static func buildEither<A: View, B: View>(second: B) -> Either<A, B> { Either() }
}

public struct Text: View {
    public init<S: StringProtocol>(_ content: S) {}
    public var body: Never { fatalError("never run") }
}
public struct Image: View {
    public init(systemName: String) {}
    public init(decorative cgImage: CGImage, scale: CGFloat) {}
    public func resizable() -> Image { self }
    public var body: Never { fatalError("never run") }
}
public struct Label: View {
    public init<S: StringProtocol>(_ title: S, systemImage name: String) {}
    public var body: Never { fatalError("never run") }
}
public struct Spacer: View {
    public init() {}
    public var body: Never { fatalError("never run") }
}
public struct Group<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct VStack<Content: View>: View {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct HStack<Content: View>: View {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct List<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct Form<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct Section<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct TabView<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct ForEach<Data: RandomAccessCollection, Content: View>: View
where Data.Element: Identifiable {
    public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
    public var body: Never { fatalError("never run") }
}
public struct Button: View {
    public init<S: StringProtocol>(_ title: S, action: @escaping @MainActor () -> Void) {}
    public var body: Never { fatalError("never run") }
}
public struct ProgressView: View {
    public init() {}
    public init<V: BinaryFloatingPoint>(value: V?, total: V = 1) {}
    public var body: Never { fatalError("never run") }
}
public struct Picker<Value: Hashable, Content: View>: View {
    public init<S: StringProtocol>(
        _ title: S, selection: Binding<Value>, @ViewBuilder content: () -> Content
    ) {}
    public var body: Never { fatalError("never run") }
}
public struct Slider: View {
    public init<V: BinaryFloatingPoint>(value: Binding<V>, in bounds: ClosedRange<V>) {}
    public var body: Never { fatalError("never run") }
}
public struct Stepper: View {
    public init<S: StringProtocol, V: Strideable>(
        _ title: S, value: Binding<V>, in bounds: ClosedRange<V>
    ) {}
    public var body: Never { fatalError("never run") }
}

// Values.

public struct Color: Hashable, Sendable {
    public static let red = Color()
    public static let primary = Color()
    public static let green = Color()
    public static let secondary = Color()
}
public struct Font: Hashable, Sendable {
    public static let title = Font()
    public static let headline = Font()
    public static let footnote = Font()
    public func monospaced() -> Font { self }
}
public enum TextAlignment: Sendable { case center }
public struct BorderedProminentButtonStyle: Sendable {}
public protocol PrimitiveButtonStyle {}
extension BorderedProminentButtonStyle: PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedProminentButtonStyle {
    public static var borderedProminent: BorderedProminentButtonStyle { .init() }
}
public struct EnabledTextSelectability: TextSelectability, Sendable {}
public protocol TextSelectability {}
extension TextSelectability where Self == EnabledTextSelectability {
    public static var enabled: EnabledTextSelectability { .init() }
}

// Modifiers.

@MainActor
extension View {
    public func font(_ font: Font?) -> some View { Stub() }
    public func foregroundStyle(_ style: Color) -> some View { Stub() }
    public func monospacedDigit() -> some View { Stub() }
    public func multilineTextAlignment(_ alignment: TextAlignment) -> some View { Stub() }
    public func textSelection<S: TextSelectability>(_ selectability: S) -> some View { Stub() }
    public func padding() -> some View { Stub() }
    public func scaledToFit() -> some View { Stub() }
    public func tag<V: Hashable>(_ tag: V) -> some View { Stub() }
    public func disabled(_ disabled: Bool) -> some View { Stub() }
    public func buttonStyle<S: PrimitiveButtonStyle>(_ style: S) -> some View { Stub() }
    public func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> some View { Stub() }
    public func overlay<V: View>(@ViewBuilder content: () -> V) -> some View { Stub() }
    public func onAppear(perform action: (() -> Void)? = nil) -> some View { Stub() }
    public func onDisappear(perform action: (() -> Void)? = nil) -> some View { Stub() }
    public func onChange<V: Equatable>(of value: V, _ action: @escaping () -> Void) -> some View {
        Stub()
    }
    public func task(_ action: @escaping @Sendable @MainActor () async -> Void) -> some View {
        Stub()
    }
    public func task<T: Equatable>(
        id value: T, _ action: @escaping @Sendable @MainActor () async -> Void
    ) -> some View { Stub() }
    public func fileImporter(
        isPresented: Binding<Bool>, allowedContentTypes: [UTType],
        onCompletion: @escaping (Result<URL, any Error>) -> Void
    ) -> some View { Stub() }
}

// State.

@propertyWrapper @dynamicMemberLookup
public struct Binding<Value> {
    public var wrappedValue: Value {
        get { fatalError("never run") }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { self }
    public subscript<T>(dynamicMember path: WritableKeyPath<Value, T>) -> Binding<T> { Binding<T>(none: ()) }
    init(none: Void) {}
}
@propertyWrapper
public struct State<Value> {
    public init(wrappedValue: Value) {}
    public init() where Value: ExpressibleByNilLiteral {}
    public var wrappedValue: Value {
        get { fatalError("never run") }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { Binding(none: ()) }
}
@dynamicMemberLookup
public struct ObjectWrapper<Object: ObservableObject> {
    public subscript<T>(dynamicMember path: ReferenceWritableKeyPath<Object, T>) -> Binding<T> {
        Binding<T>(none: ())
    }
}
@MainActor @propertyWrapper
public struct ObservedObject<Object: ObservableObject> {
    public init(wrappedValue: Object) { self.wrappedValue = wrappedValue }
    public var wrappedValue: Object
    public var projectedValue: ObjectWrapper<Object> { ObjectWrapper() }
}
@MainActor @propertyWrapper
public struct StateObject<Object: ObservableObject> {
    nonisolated public init(wrappedValue: @autoclosure @escaping () -> Object) {}
    public var wrappedValue: Object { fatalError("never run") }
    public var projectedValue: ObjectWrapper<Object> { ObjectWrapper() }
}

// App.

@MainActor @preconcurrency
public protocol Scene {}
public struct WindowGroup<Content: View>: Scene {
    nonisolated public init(@ViewBuilder content: () -> Content) {}
}
@resultBuilder
public enum SceneBuilder {
    public static func buildBlock<S: Scene>(_ scene: S) -> S { scene }
}
@MainActor @preconcurrency
public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
    init()
}
extension App {
    public static func main() {}
}

// UIKit in SwiftUI.

public struct UIViewRepresentableContext<Representable> {}
@MainActor @preconcurrency
public protocol UIViewRepresentable: View where Body == Never {
    associatedtype UIViewType: UIView
    typealias Context = UIViewRepresentableContext<Self>
    func makeUIView(context: Context) -> UIViewType
    func updateUIView(_ uiView: UIViewType, context: Context)
}
extension UIViewRepresentable {
    public var body: Never { fatalError("never run") }
}
