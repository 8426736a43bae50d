package org.mobilecv.app.ui

import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import java.util.Locale
import org.mobilecv.app.Check
import org.mobilecv.app.engine.Choice
import org.mobilecv.core.GoldenAnswer
import org.mobilecv.core.Verdict

/** Whether the chosen file gives the right answers on this very device. */
@Composable
internal fun CheckScreen(check: Check, choice: Choice, onRun: () -> Unit) {
    Text("Runs the images that came with the model and compares with what the trained model answered.")
    Button(onClick = onRun, enabled = check != Check.Running) { Text("Check ${nameOf(choice)}") }
    when (check) {
        Check.NotRun -> Unit
        Check.Running -> Text("Working …")
        is Check.Failed -> Problem("The check could not be made", check.message)
        is Check.Done -> Scrolled { Results(check) }
    }
}

@Composable
private fun Results(check: Check.Done) {
    val wrong = check.answers.count { it.verdict == Verdict.DIFFERS }
    val total = check.answers.size
    if (check.isRight) {
        val agreeing = if (wrong == 0) "all $total" else "${total - wrong} of $total"
        Text("Right: $agreeing images agree", style = MaterialTheme.typography.titleMedium)
    } else {
        Problem("Wrong: $wrong of $total images differ", "${nameOf(check.choice)} is not to be trusted here.")
    }
    for (answer in check.answers) Text(lineOf(answer))
}

private fun lineOf(answer: GoldenAnswer): String {
    val difference = String.format(Locale.getDefault(), "%.1e", answer.largestDifference)
    val said =
        when (answer.verdict) {
            Verdict.AGREES -> "agrees: ${answer.found}"
            Verdict.NEAR_TIE -> "near-tie: ${answer.found} for ${answer.expected}"
            Verdict.DIFFERS -> "DIFFERS: ${answer.found} for ${answer.expected}"
        }
    return "${answer.image}: $said (largest difference $difference)"
}

private fun nameOf(choice: Choice): String = "${choice.artifact.id} on the ${choice.processor.title}"
