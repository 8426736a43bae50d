@_exported import Foundation

public typealias CFData = Data
public typealias CFString = String
public typealias CFDictionary = [String: Any]
public final class CFAllocator: Sendable {}
public let kCFAllocatorDefault: CFAllocator? = nil

public enum CGColorSpaceModel: Int32, Sendable { case unknown, monochrome, rgb, cmyk }
public final class CGColorSpace: Sendable {
    public static let sRGB: CFString = "sRGB"
    public init?(name: CFString) { return nil }
    public var model: CGColorSpaceModel { .rgb }
}
public enum CGImageAlphaInfo: UInt32, Sendable { case none, noneSkipLast }
public struct CGBitmapInfo: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}
public enum CGColorRenderingIntent: Int32, Sendable { case defaultIntent }
public enum CGInterpolationQuality: Int32, Sendable { case `default`, none }
public final class CGDataProvider: Sendable {
    public init?(data: CFData) { return nil }
}
public final class CGImage: Sendable {
    public init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
        decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
    ) { return nil }
    public var width: Int { 0 }
    public var height: Int { 0 }
    public var colorSpace: CGColorSpace? { nil }
}
public final class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) { return nil }
    public var interpolationQuality: CGInterpolationQuality = .default
    public func draw(_ image: CGImage, in rect: CGRect) {}
}

// What Foundation has on Apple's systems only.
extension URL {
    public func startAccessingSecurityScopedResource() -> Bool { false }
    public func stopAccessingSecurityScopedResource() {}
}
