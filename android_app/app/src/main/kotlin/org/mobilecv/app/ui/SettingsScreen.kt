package org.mobilecv.app.ui

import androidx.compose.material3.Slider
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import org.mobilecv.app.AppModel
import org.mobilecv.app.Stage
import org.mobilecv.app.engine.Processor

/** Which file runs where, and what is too unsure to be shown. */
@Composable
internal fun SettingsScreen(model: AppModel, ready: Stage.Ready) {
    val choice = ready.choice
    Scrolled {
        val artifact = choice.artifact
        Text("File: ${artifact.file.path}, ${artifact.precision}, takes ${artifact.input.dtype}")
        Options(ready.bundle.artifacts, choice.artifact, title = { it.id }) {
            model.choose(choice.copy(artifact = it))
        }
        Text("Processor")
        Options(Processor.entries, choice.processor, title = { it.title }) {
            model.choose(choice.copy(processor = it))
        }
        if (choice.processor == Processor.CPU) {
            Text("Threads")
            Options(threadCounts(), choice.threads, title = { it.toString() }) {
                model.choose(choice.copy(threads = it))
            }
        }
        Text("Hide labels below ${percent(model.state.threshold)}")
        Slider(value = model.state.threshold, onValueChange = model::hideBelow)
    }
}

/** Powers of two up to the number of processors. */
private fun threadCounts(): List<Int> =
    generateSequence(1) { it * 2 }.takeWhile { it <= Runtime.getRuntime().availableProcessors() }.toList()
