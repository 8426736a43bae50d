/// A picture in memory: rows of interleaved bytes, R, G, B or gray, 0..255, top row first.
public struct Pixels: Equatable, Sendable {
    /// Columns.
    public let width: Int
    /// Rows.
    public let height: Int
    /// 3 for RGB, 1 for gray.
    public let channels: Int
    /// `height * width * channels` bytes.
    public let bytes: [UInt8]

    /// - Throws: `BundleError` if the bytes are not as many as the size says.
    public init(width: Int, height: Int, channels: Int, bytes: [UInt8]) throws {
        guard width >= 1, height >= 1, channels == 1 || channels == 3,
            bytes.count == width * height * channels
        else {
            throw BundleError(
                "\(bytes.count) bytes are no picture of \(width)x\(height) with \(channels) channels.")
        }
        self.init(checkedWidth: width, height: height, channels: channels, bytes: bytes)
    }

    /// For results of this package, whose size is right by construction.
    init(checkedWidth width: Int, height: Int, channels: Int, bytes: [UInt8]) {
        self.width = width
        self.height = height
        self.channels = channels
        self.bytes = bytes
    }

    /// Rule 4: luma `(19595 R + 38470 G + 7471 B + 32768) >> 16`, ITU-R BT.601-2 in the fixed point
    /// of Pillow's `convert("L")` (src/libImaging/Convert.c, `L24`). A gray picture stays as it is.
    public func gray() -> Pixels {
        guard channels == 3 else { return self }
        var luma = [UInt8](repeating: 0, count: width * height)
        bytes.withUnsafeBufferPointer { rgb in
            for index in 0..<(width * height) {
                let red = 19595 * Int(rgb[3 * index])
                let green = 38470 * Int(rgb[3 * index + 1])
                let blue = 7471 * Int(rgb[3 * index + 2])
                luma[index] = UInt8((red + green + blue + 32768) >> 16)
            }
        }
        return Pixels(checkedWidth: width, height: height, channels: 1, bytes: luma)
    }

    /// The part of a picture inside a box, which must lie in it.
    func cropped(to box: CropBox) -> Pixels {
        if box.width == width && box.height == height { return self }
        var part: [UInt8] = []
        part.reserveCapacity(box.width * box.height * channels)
        for row in box.top..<(box.top + box.height) {
            let start = (row * width + box.left) * channels
            part.append(contentsOf: bytes[start..<(start + box.width * channels)])
        }
        return Pixels(
            checkedWidth: box.width, height: box.height, channels: channels, bytes: part)
    }

    /// This picture in the middle of a black frame, which must be at least as large.
    func framed(width frameWidth: Int, height frameHeight: Int) -> Pixels {
        if frameWidth == width && frameHeight == height { return self }
        var frame = [UInt8](repeating: 0, count: frameWidth * frameHeight * channels)
        let left = (frameWidth - width) / 2
        let top = (frameHeight - height) / 2
        for row in 0..<height {
            let from = row * width * channels
            let to = ((top + row) * frameWidth + left) * channels
            for offset in 0..<(width * channels) {
                frame[to + offset] = bytes[from + offset]
            }
        }
        return Pixels(
            checkedWidth: frameWidth, height: frameHeight, channels: channels, bytes: frame)
    }
}
