package org.mobilecv.app.ui

import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.material3.Button
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import org.mobilecv.app.AppModel
import org.mobilecv.app.Stage

/** A photo from the gallery; the picker needs no permission. */
@Composable
internal fun PhotoScreen(model: AppModel, ready: Stage.Ready) {
    val picker =
        rememberLauncherForActivityResult(ActivityResultContracts.PickVisualMedia()) { uri ->
            if (uri != null) model.classify(uri)
        }
    val images = PickVisualMediaRequest(ActivityResultContracts.PickVisualMedia.ImageOnly)
    Button(onClick = { picker.launch(images) }) { Text("Pick a photo") }
    Scrolled { OutcomeView(model.state.photo, ready.bundle.manifest.image, model.state.threshold) }
}
