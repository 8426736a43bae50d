extension Pixels {
    /// Write into memory as Core ML takes it: RGB as 32BGRA with full alpha, gray as one byte.
    ///
    /// - Parameters:
    ///   - memory: At least `height * rowBytes` bytes.
    ///   - rowBytes: From one row to the next; systems pad rows, and the padding is left alone.
    public func write(to memory: UnsafeMutablePointer<UInt8>, rowBytes: Int) {
        bytes.withUnsafeBufferPointer { source in
            for row in 0..<height {
                let from = row * width * channels
                let to = row * rowBytes
                for column in 0..<width {
                    if channels == 1 {
                        memory[to + column] = source[from + column]
                    } else {
                        memory[to + 4 * column] = source[from + 3 * column + 2]
                        memory[to + 4 * column + 1] = source[from + 3 * column + 1]
                        memory[to + 4 * column + 2] = source[from + 3 * column]
                        memory[to + 4 * column + 3] = 255
                    }
                }
            }
        }
    }

    /// The order of the four bytes of a pixel in memory; the fourth, alpha or nothing, is dropped.
    public enum FourBytes: Sendable {
        /// As cameras give it: 32BGRA.
        case bgra
        /// As CoreGraphics draws with `noneSkipLast`.
        case rgbx
    }

    /// Read RGB from memory.
    ///
    /// - Parameters:
    ///   - memory: At least `height * rowBytes` bytes.
    ///   - rowBytes: From one row to the next, at least `4 * width`.
    public static func read(
        _ order: FourBytes, from memory: UnsafePointer<UInt8>, width: Int, height: Int,
        rowBytes: Int
    ) throws -> Pixels {
        let red = order == .bgra ? 2 : 0
        var rgb = [UInt8](repeating: 0, count: width * height * 3)
        rgb.withUnsafeMutableBufferPointer { target in
            for row in 0..<height {
                for column in 0..<width {
                    let from = row * rowBytes + 4 * column
                    let to = 3 * (row * width + column)
                    target[to] = memory[from + red]
                    target[to + 1] = memory[from + 1]
                    target[to + 2] = memory[from + 2 - red]
                }
            }
        }
        return try Pixels(width: width, height: height, channels: 3, bytes: rgb)
    }

    /// The same picture with three equal channels; an RGB picture stays as it is.
    public func colored() -> Pixels {
        guard channels == 1 else { return self }
        var rgb: [UInt8] = []
        rgb.reserveCapacity(bytes.count * 3)
        for level in bytes {
            rgb.append(level)
            rgb.append(level)
            rgb.append(level)
        }
        return Pixels(checkedWidth: width, height: height, channels: 3, bytes: rgb)
    }
}
