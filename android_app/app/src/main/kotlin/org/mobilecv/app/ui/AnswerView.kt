package org.mobilecv.app.ui

import android.graphics.Bitmap
import androidx.compose.foundation.Image
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.size
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.FilterQuality
import androidx.compose.ui.graphics.ImageBitmap
import androidx.compose.ui.graphics.asImageBitmap
import androidx.compose.ui.unit.dp
import java.util.Locale
import org.mobilecv.app.Answer
import org.mobilecv.app.Outcome
import org.mobilecv.core.Guess
import org.mobilecv.core.ImageInput
import org.mobilecv.core.level

/** What came of a photo or frame: labels, what the model saw, and how long it took. */
@Composable
internal fun OutcomeView(outcome: Outcome, image: ImageInput, threshold: Float) {
    when (outcome) {
        Outcome.Nothing -> Unit
        Outcome.Working -> Text("Working …")
        is Outcome.Failed -> Problem("That did not work", outcome.message)
        is Outcome.Answered -> AnswerView(outcome.answer, image, threshold)
    }
}

@Composable
private fun AnswerView(answer: Answer, image: ImageInput, threshold: Float) {
    Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
        val shown = answer.guesses.filter { it.probability >= threshold }
        if (shown.isEmpty()) Text("Not sure: no label reaches ${percent(threshold)}")
        for (guess in shown) GuessRow(guess)
        Row(horizontalArrangement = Arrangement.spacedBy(12.dp)) {
            val seen = remember(answer) { bitmapOf(answer.pixels, image) }
            Image(
                bitmap = seen,
                contentDescription = "What the model saw",
                modifier = Modifier.size(96.dp),
                filterQuality = FilterQuality.None,
            )
            Column {
                Text("What the model saw: ${image.width} x ${image.height}")
                Text("Preprocessing ${milliseconds(answer.preprocessMs)}")
                Text("Inference ${milliseconds(answer.inferenceMs)}")
            }
        }
    }
}

@Composable
private fun GuessRow(guess: Guess) {
    Column {
        Row(modifier = Modifier.fillMaxWidth(), horizontalArrangement = Arrangement.SpaceBetween) {
            Text(guess.label, style = MaterialTheme.typography.titleMedium)
            Text(percent(guess.probability))
        }
        LinearProgressIndicator(progress = { guess.probability }, modifier = Modifier.fillMaxWidth())
    }
}

/** Prepared pixels, (height, width, channels), as a picture. */
private fun bitmapOf(pixels: ByteArray, image: ImageInput): ImageBitmap {
    val colors =
        IntArray(image.width * image.height) { place ->
            val at = place * image.channels
            val red = level(pixels[at])
            val green = level(pixels[at + image.channels / 2])
            val blue = level(pixels[at + image.channels - 1])
            (0xFF shl 24) or (red shl 16) or (green shl 8) or blue
        }
    val bitmap = Bitmap.createBitmap(colors, image.width, image.height, Bitmap.Config.ARGB_8888)
    return bitmap.asImageBitmap()
}

internal fun percent(probability: Float): String =
    String.format(Locale.getDefault(), "%.1f %%", probability * 100)

private fun milliseconds(value: Double): String = String.format(Locale.getDefault(), "%.1f ms", value)
