/// An interpolation kernel of Pillow (src/libImaging/Resample.c).
enum Filter {
    /// `bilinear_filter`
    case triangle
    /// `bicubic_filter`, Keys' kernel with a = -0.5
    case cubic

    /// How far the kernel reaches to each side, in pixels of the smaller picture.
    var support: Double {
        switch self {
        case .triangle: return 1
        case .cubic: return 2
        }
    }

    /// The kernel's value at a distance in pixels.
    func weight(at distance: Double) -> Double {
        let x = abs(distance)
        switch self {
        case .triangle:
            return x < 1 ? 1 - x : 0
        case .cubic:
            let a = -0.5
            if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
            return 0
        }
    }
}

/// For each row or column of a new picture: which old ones it is made of, and with which weights.
struct Taps {
    /// Fraction bits of a weight: `PRECISION_BITS` in Pillow, 32 - 8 - 2.
    static let fractionBits: Int32 = 22

    /// The first old row or column of each new one.
    private(set) var first: [Int] = []
    /// How many old ones each new one is made of.
    private(set) var count: [Int] = []
    /// Where the weights of each new one begin in `weights`.
    private(set) var start: [Int] = []
    /// Fixed-point weights, one after another.
    private(set) var weights: [Int32] = []

    /// Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`, in their order of operations.
    init(from size: Int, to newSize: Int, filter: Filter) {
        let scale = Double(size) / Double(newSize)
        let stretch = max(scale, 1)
        let support = filter.support * stretch
        for index in 0..<newSize {
            let center = (Double(index) + 0.5) * scale
            let low = max(Int(center - support + 0.5), 0)
            let high = min(Int(center + support + 0.5), size)
            first.append(low)
            count.append(high - low)
            start.append(weights.count)
            weights += Taps.fixedPoint(
                (low..<high).map { filter.weight(at: (Double($0) - center + 0.5) * (1 / stretch)) })
        }
    }

    /// Scale weights to the sum 1, and round them half away from zero.
    private static func fixedPoint(_ kernel: [Double]) -> [Int32] {
        let sum = kernel.reduce(0, +)
        let one = Double(1 << fractionBits)
        return kernel.map { value in
            let share = sum == 0 ? value : value / sum
            return Int32(share * one + (share < 0 ? -0.5 : 0.5))
        }
    }
}
