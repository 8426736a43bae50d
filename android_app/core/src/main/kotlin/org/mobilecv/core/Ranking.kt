package org.mobilecv.core

/**
 * A label with its probability.
 *
 * @property index The label's place among the scores.
 */
data class Guess(val index: Int, val label: String, val probability: Float)

/** The places of the [k] largest scores, the largest first; of equal ones the lowest place. */
fun topK(scores: FloatArray, k: Int): List<Int> =
    scores.indices.sortedWith(compareByDescending<Int> { scores[it] }.thenBy { it }).take(k)

/**
 * The [k] likeliest labels.
 *
 * @param scores One probability per label.
 * @throws BundleException If there are more or fewer scores than labels, or one is not a number.
 */
fun Labels.likeliest(scores: FloatArray, k: Int): List<Guess> {
    if (scores.size != count) throw BundleException("the model gave ${scores.size} scores for $count labels")
    if (!scores.all { it.isFinite() }) {
        throw BundleException("the model gave scores that are not numbers; try the CPU, or the float file")
    }
    return topK(scores, k).map { Guess(it, names[it], scores[it]) }
}
