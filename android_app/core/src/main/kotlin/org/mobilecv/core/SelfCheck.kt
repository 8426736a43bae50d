package org.mobilecv.core

import kotlin.math.abs

/** What comes of one golden image on this device. */
enum class Verdict {
    /** The same label, with the numbers as close as the precision allows. */
    AGREES,

    /** Another label, which the trained model holds almost as likely. */
    NEAR_TIE,

    /** Another label, or other numbers. */
    DIFFERS,
}

/**
 * How far answers on a device may lie from the trained model's; as `TOLERANCES` in
 * `mobilecv_runtime/parity.py`, whose reasons stand there.
 *
 * @property nearTie How much likelier the trained model may hold its own label than the found one.
 * @property largestDifference Of a probability; infinite where only the labels count.
 * @property agreement The least share of images, near-ties apart, that must agree; below 1, one may
 *   always differ.
 */
data class Tolerance(val nearTie: Float, val largestDifference: Float, val agreement: Double) {
    /** For a processor that computes in float16 whatever the file's precision is. */
    fun inHalfPrecision(): Tolerance =
        copy(
            nearTie = maxOf(nearTie, float16.nearTie),
            largestDifference = maxOf(largestDifference, float16.largestDifference),
        )

    /** Whether all golden images together speak for the model. */
    fun accepts(answers: List<GoldenAnswer>): Boolean {
        if (answers.isEmpty()) return false
        val judged = answers.count { it.verdict != Verdict.NEAR_TIE }
        val differing = answers.count { it.verdict == Verdict.DIFFERS }
        return differing <= if (agreement < 1) maxOf((1 - agreement) * judged, 1.0) else 0.0
    }

    companion object {
        private val float16 = Tolerance(nearTie = 2e-2f, largestDifference = 2e-2f, agreement = 1.0)

        /**
         * By an artifact's precision.
         *
         * The numbers of float32 get ten times what `parity.py` gives them: the recorded parity is of
         * one desktop's kernels, and a phone's sum in yet another order.
         */
        fun of(precision: String): Tolerance =
            when (precision) {
                "float32" -> Tolerance(nearTie = 2e-5f, largestDifference = 1e-4f, agreement = 1.0)
                "float16" -> float16
                "int8-weights", "int8" ->
                    Tolerance(nearTie = 0.1f, Float.POSITIVE_INFINITY, agreement = 0.97)
                else -> throw BundleException("the precision '$precision' is unknown to this app")
            }
    }
}

/**
 * How one golden image was answered on this device.
 *
 * @property expected The trained model's likeliest label.
 * @property found This device's likeliest label.
 * @property largestDifference The largest difference of a probability.
 */
data class GoldenAnswer(
    val image: String,
    val expected: String,
    val found: String,
    val largestDifference: Float,
    val verdict: Verdict,
)

/**
 * Holds what this device answers against the recorded scores.
 *
 * The rule is `compare` in `mobilecv_runtime/parity.py`; `docs/apps.md` has it in words.
 *
 * @param scores One probability per label.
 * @throws BundleException If there are more or fewer, or one is not a number.
 */
fun Labels.compare(image: GoldenImage, tolerance: Tolerance, scores: FloatArray): GoldenAnswer {
    val found = likeliest(scores, 1).first()
    val expected = likeliest(image.scores, 1).first()
    val largest = scores.indices.maxOf { abs(scores[it] - image.scores[it]) }
    val verdict =
        when {
            largest > tolerance.largestDifference -> Verdict.DIFFERS
            found.index == expected.index -> Verdict.AGREES
            expected.probability - image.scores[found.index] <= tolerance.nearTie -> Verdict.NEAR_TIE
            else -> Verdict.DIFFERS
        }
    return GoldenAnswer(image.file.path, expected.label, found.label, largest, verdict)
}
