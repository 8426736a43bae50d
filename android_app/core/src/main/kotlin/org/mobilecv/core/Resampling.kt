package org.mobilecv.core

import kotlin.math.abs

/**
 * Rule 6: resamples to [width] x [height] as Pillow does, to the byte.
 *
 * @return The pixels themselves if they have that size already.
 */
internal fun Pixels.resampled(width: Int, height: Int, filter: Filter): Pixels =
    when {
        width == this.width && height == this.height -> this
        filter == Filter.NEAREST -> nearest(width, height)
        else -> {
            // Pillow leaves a pass out when its side keeps its length, and rounds once less.
            val wide = if (width == this.width) this else horizontalPass(Taps.of(this.width, width, filter))
            if (height == this.height) wide else wide.verticalPass(Taps.of(this.height, height, filter))
        }
    }

/**
 * For each pixel of a resampled row or column: which source pixels count, and how much.
 *
 * Pillow `src/libImaging/Resample.c`, `precompute_coeffs` and `normalize_coeffs_8bpc`.
 *
 * @property first Index of the first source pixel that counts.
 * @property weights 22-bit fixed point; each row sums to about 2^22.
 */
internal class Taps private constructor(val first: IntArray, val weights: Array<IntArray>) {
    val count: Int get() = first.size

    companion object {
        /** Weights that turn [from] pixels into [to]. */
        fun of(from: Int, to: Int, filter: Filter): Taps {
            val scale = from.toDouble() / to
            val stretch = maxOf(scale, 1.0) // antialiased when it shrinks
            val support = (if (filter == Filter.BICUBIC) 2.0 else 1.0) * stretch
            val first = IntArray(to)
            val weights =
                Array(to) { index ->
                    val centre = (index + 0.5) * scale
                    val low = maxOf((centre - support + 0.5).toInt(), 0)
                    val high = minOf((centre + support + 0.5).toInt(), from)
                    first[index] = low
                    fixedPoint(
                        DoubleArray(high - low) { tap ->
                            weight(filter, (tap + low - centre + 0.5) * (1.0 / stretch))
                        },
                    )
                }
            return Taps(first, weights)
        }

        private fun fixedPoint(weights: DoubleArray): IntArray {
            var sum = 0.0
            for (weight in weights) sum += weight // in this order: another one rounds differently
            return IntArray(weights.size) { index ->
                val share = if (sum != 0.0) weights[index] / sum else weights[index]
                (share * ONE + if (share < 0) -0.5 else 0.5).toInt()
            }
        }

        private fun weight(filter: Filter, distance: Double): Double {
            val x = abs(distance)
            return when (filter) {
                Filter.BICUBIC -> cubic(x)
                else -> if (x < 1.0) 1.0 - x else 0.0
            }
        }

        /** Keys' cubic convolution with a = -0.5 (`bicubic_filter` in `Resample.c`). */
        private fun cubic(x: Double): Double =
            when {
                x < 1.0 -> ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0
                x < 2.0 -> (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC_A
                else -> 0.0
            }

        private const val CUBIC_A = -0.5
    }
}

private fun Pixels.horizontalPass(taps: Taps): Pixels {
    val result = ByteArray(taps.count * height * channels)
    var at = 0
    for (y in 0 until height) {
        for (x in 0 until taps.count) {
            val start = index(taps.first[x], y)
            for (channel in 0 until channels) {
                result[at++] = weighted(start + channel, channels, taps.weights[x])
            }
        }
    }
    return Pixels(taps.count, height, channels, result)
}

private fun Pixels.verticalPass(taps: Taps): Pixels {
    val rowBytes = width * channels
    val result = ByteArray(rowBytes * taps.count)
    var at = 0
    for (y in 0 until taps.count) {
        val start = index(0, taps.first[y])
        for (column in 0 until rowBytes) {
            result[at++] = weighted(start + column, rowStride, taps.weights[y])
        }
    }
    return Pixels(width, taps.count, channels, result)
}

/** The weighted sum of every [step]-th byte from [start] on, rounded and clipped to 0..255. */
private fun Pixels.weighted(start: Int, step: Int, weights: IntArray): Byte {
    var sum = HALF
    var from = start
    for (weight in weights) {
        sum += (bytes[from].toInt() and 0xFF) * weight
        from += step
    }
    return (sum shr BITS).coerceIn(0, 255).toByte()
}

/**
 * Pillow `src/libImaging/Geometry.c`, `ImagingScaleAffine`: source positions are summed up step by
 * step in double precision, so they must be summed up here too.
 */
private fun Pixels.nearest(width: Int, height: Int): Pixels {
    val columns = nearestIndices(this.width, width)
    val rows = nearestIndices(this.height, height)
    val result = ByteArray(width * height * channels)
    var at = 0
    for (row in rows) {
        for (column in columns) {
            val from = index(column, row)
            for (channel in 0 until channels) result[at++] = bytes[from + channel]
        }
    }
    return Pixels(width, height, channels, result)
}

private fun nearestIndices(from: Int, to: Int): IntArray {
    val step = from.toDouble() / to
    var position = step * 0.5
    return IntArray(to) {
        val index = minOf(position.toInt(), from - 1)
        position += step
        index
    }
}

private const val BITS = 22
private const val ONE = 1 shl BITS
private const val HALF = 1 shl (BITS - 1)
