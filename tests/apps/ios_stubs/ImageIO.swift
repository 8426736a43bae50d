import CoreGraphics

public final class CGImageSource {}
public let kCGImagePropertyOrientation: CFString = "Orientation"
public enum CGImagePropertyOrientation: UInt32, Sendable { case up = 1 }
public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource?
{ nil }
public func CGImageSourceCreateImageAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CGImage? { nil }
public func CGImageSourceCopyPropertiesAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> Any? { nil }  // a CFDictionary, which `as?` turns into a Swift one
