extension Pixels {
    /// Pillow's nearest neighbour (src/libImaging/Geometry.c, `ImagingScaleAffine`).
    func nearest(width newWidth: Int, height newHeight: Int) -> Pixels {
        let columns = Pixels.centers(from: width, to: newWidth)
        let rows = Pixels.centers(from: height, to: newHeight)
        var chosen: [UInt8] = []
        chosen.reserveCapacity(newWidth * newHeight * channels)
        for row in rows {
            for column in columns {
                let start = (row * width + column) * channels
                chosen.append(contentsOf: bytes[start..<(start + channels)])
            }
        }
        return Pixels(
            checkedWidth: newWidth, height: newHeight, channels: channels, bytes: chosen)
    }

    /// Which stored row or column stands for each new one.
    ///
    /// The steps are added up as Pillow adds them; a product would round differently.
    private static func centers(from size: Int, to newSize: Int) -> [Int] {
        let step = Double(size) / Double(newSize)
        var position = step * 0.5
        var indices: [Int] = []
        for _ in 0..<newSize {
            indices.append(min(Int(position), size - 1))
            position += step
        }
        return indices
    }
}
