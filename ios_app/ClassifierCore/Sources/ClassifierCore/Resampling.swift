extension Pixels {
    /// Pillow's 8-bit resampling: the horizontal pass first, each pass rounded to bytes, and a pass
    /// left out where the size stays (src/libImaging/Resample.c, `ImagingResampleInner`).
    func filtered(width newWidth: Int, height newHeight: Int, filter: Filter) -> Pixels {
        var picture = self
        if newWidth != width {
            let taps = Taps(from: width, to: newWidth, filter: filter)
            picture = picture.filteredAcross(width: newWidth, taps: taps)
        }
        if newHeight != height {
            let taps = Taps(from: height, to: newHeight, filter: filter)
            picture = picture.filteredDown(height: newHeight, taps: taps)
        }
        return picture
    }

    private func filteredAcross(width newWidth: Int, taps: Taps) -> Pixels {
        var result = [UInt8](repeating: 0, count: newWidth * height * channels)
        result.withUnsafeMutableBufferPointer { output in
            for row in 0..<height {
                for column in 0..<newWidth {
                    let from = (row * width + taps.first[column]) * channels
                    let to = (row * newWidth + column) * channels
                    for channel in 0..<channels {
                        output[to + channel] = sum(
                            taps, of: column, from: from + channel, step: channels)
                    }
                }
            }
        }
        return Pixels(
            checkedWidth: newWidth, height: height, channels: channels, bytes: result)
    }

    private func filteredDown(height newHeight: Int, taps: Taps) -> Pixels {
        let rowBytes = width * channels
        var result = [UInt8](repeating: 0, count: rowBytes * newHeight)
        result.withUnsafeMutableBufferPointer { output in
            for row in 0..<newHeight {
                let from = taps.first[row] * rowBytes
                for offset in 0..<rowBytes {
                    output[row * rowBytes + offset] = sum(
                        taps, of: row, from: from + offset, step: rowBytes)
                }
            }
        }
        return Pixels(
            checkedWidth: width, height: newHeight, channels: channels, bytes: result)
    }

    /// One byte of the result: weighted bytes, plus one half, without the fraction, within 0..255.
    ///
    /// The sum stays inside of 32 bits (Pillow chose `fractionBits` so), hence the operators without
    /// overflow checks.
    @inline(__always)
    private func sum(_ taps: Taps, of index: Int, from: Int, step: Int) -> UInt8 {
        var total: Int32 = 1 << (Taps.fractionBits - 1)
        var position = from
        let start = taps.start[index]
        for tap in start..<(start + taps.count[index]) {
            total &+= taps.weights[tap] &* Int32(bytes[position])
            position += step
        }
        return UInt8(min(max(total >> Taps.fractionBits, 0), 255))
    }
}
