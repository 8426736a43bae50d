package org.mobilecv.app

import org.mobilecv.app.engine.Choice
import org.mobilecv.app.engine.Engine
import org.mobilecv.core.Bundle
import org.mobilecv.core.GoldenAnswer
import org.mobilecv.core.Guess
import org.mobilecv.core.Pixels
import org.mobilecv.core.compare
import org.mobilecv.core.likeliest
import org.mobilecv.core.prepare

/** How many labels are shown. */
private const val SHOWN = 5

/**
 * An answer to one photo or frame.
 *
 * @property pixels What the model saw: (height, width, channels), 0..255.
 * @property preprocessMs From the upright photo to these pixels.
 * @property inferenceMs From these pixels to scores.
 */
class Answer(
    val guesses: List<Guess>,
    val pixels: ByteArray,
    val preprocessMs: Double,
    val inferenceMs: Double,
)

/**
 * Prepares photos and runs the chosen artifact. Every call comes from the inference thread.
 *
 * @param open Loads an artifact; called once for each new choice.
 */
class Classifier(private val bundle: Bundle, private val open: (Choice) -> Engine) : AutoCloseable {
    private var opened: Opened? = null

    /** Classifies an upright photo. */
    fun classify(photo: Pixels, choice: Choice): Answer {
        val engine = engine(choice)
        val start = System.nanoTime()
        val pixels = prepare(photo, bundle.manifest.image)
        val prepared = System.nanoTime()
        val scores = engine.scores(pixels)
        val done = System.nanoTime()
        val guesses = bundle.labels.likeliest(scores, SHOWN)
        return Answer(guesses, pixels, ms(start, prepared), ms(prepared, done))
    }

    /** Runs the bundle's golden images, which are prepared already, and compares with the record. */
    fun checkGolden(choice: Choice): List<GoldenAnswer> {
        val engine = engine(choice)
        val tolerance = choice.tolerance
        return bundle.golden().map { image ->
            val stored = decodeBitmap(bundle.png(image)).toPixels()
            val pixels = prepare(stored, bundle.manifest.image.whole)
            bundle.labels.compare(image, tolerance, engine.scores(pixels))
        }
    }

    override fun close() {
        opened?.engine?.onSuccess { it.close() }
        opened = null
    }

    /** A choice that cannot be opened is not tried anew for every frame. */
    private fun engine(choice: Choice): Engine {
        if (opened?.choice != choice) {
            close()
            opened = Opened(choice, runCatching { open(choice) })
        }
        return checkNotNull(opened).engine.getOrThrow()
    }

    private class Opened(val choice: Choice, val engine: Result<Engine>)

    private fun ms(from: Long, to: Long): Double = (to - from) / 1e6
}
