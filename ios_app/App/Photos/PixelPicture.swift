import ClassifierCore
import CoreGraphics
import Foundation

extension Pixels {
    /// An RGB picture for the screen; nil for a gray one, or if the system has no memory for it.
    func picture() -> CGImage? {
        guard channels == 3, let space = CGColorSpace(name: CGColorSpace.sRGB),
            let provider = CGDataProvider(data: Data(bytes) as CFData)
        else { return nil }
        return CGImage(
            width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 24,
            bytesPerRow: width * 3, space: space,
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
            provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
    }
}
