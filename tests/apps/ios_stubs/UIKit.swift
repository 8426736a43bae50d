@_exported import CoreGraphics

@MainActor
open class CALayer {
    nonisolated public init() {}
    public var frame = CGRect.zero
    public func addSublayer(_ layer: CALayer) {}
}
@MainActor
open class UIView {
    public init() {}
    public var layer: CALayer { CALayer() }
    public var bounds: CGRect { .zero }
    open func layoutSubviews() {}
}
