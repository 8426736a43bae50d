extension Pixels {
    /// Rule 2: set a stored picture upright.
    ///
    /// - Parameter exif: The EXIF orientation tag 0x0112, 1..8 (TIFF 6.0, "Orientation"; the turns
    ///   are those of Pillow's `ImageOps.exif_transpose`). Any other value counts as 1.
    public func upright(exif: Int) -> Pixels {
        guard (2...8).contains(exif) else { return self }
        let isSideways = exif >= 5
        let newWidth = isSideways ? height : width
        let newHeight = isSideways ? width : height
        var turned = [UInt8](repeating: 0, count: bytes.count)
        for row in 0..<newHeight {
            for column in 0..<newWidth {
                let from = stored(exif: exif, row: row, column: column) * channels
                let to = (row * newWidth + column) * channels
                for channel in 0..<channels {
                    turned[to + channel] = bytes[from + channel]
                }
            }
        }
        return Pixels(
            checkedWidth: newWidth, height: newHeight, channels: channels, bytes: turned)
    }

    /// The index of the stored pixel that stands at (row, column) of the upright picture.
    private func stored(exif: Int, row: Int, column: Int) -> Int {
        let right = width - 1
        let bottom = height - 1
        switch exif {
        case 2: return row * width + (right - column)
        case 3: return (bottom - row) * width + (right - column)
        case 4: return (bottom - row) * width + column
        case 5: return column * width + row
        case 6: return (bottom - column) * width + row
        case 7: return (bottom - column) * width + (right - row)
        case 8: return column * width + (right - row)
        default: return row * width + column
        }
    }
}
