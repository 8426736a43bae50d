package org.mobilecv.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import org.mobilecv.app.AppModel
import org.mobilecv.app.Stage
import org.mobilecv.app.Tab

/** The whole screen: title, tabs, and what the tab shows. */
@Composable
internal fun AppScreen(model: AppModel) {
    MaterialTheme {
        Surface(modifier = Modifier.fillMaxSize()) {
            Column(
                modifier = Modifier.safeDrawingPadding().padding(16.dp),
                verticalArrangement = Arrangement.spacedBy(12.dp),
            ) {
                when (val stage = model.state.stage) {
                    Stage.Loading -> Text("Opening the model …")
                    Stage.NoModel -> NoModel()
                    is Stage.Broken -> Problem("The model cannot be used", stage.message)
                    is Stage.Ready -> Ready(model, stage)
                }
            }
        }
    }
}

/** The first screen of an app without a bundle. */
@Composable
private fun NoModel() {
    Text("There is no model in this app yet", style = MaterialTheme.typography.headlineSmall)
    Text("On your computer, put one there and install the app again:")
    Text("mobilecv export model.h5 --to tflite --app android_app", style = MaterialTheme.typography.bodyLarge)
}

@Composable
private fun Ready(model: AppModel, ready: Stage.Ready) {
    val state = model.state
    Text(ready.bundle.manifest.name, style = MaterialTheme.typography.headlineSmall)
    Options(Tab.entries, state.tab, title = { it.title }, onSelect = model::show)
    when (state.tab) {
        Tab.CAMERA -> CameraScreen(model, ready)
        Tab.PHOTO -> PhotoScreen(model, ready)
        Tab.CHECK -> CheckScreen(state.check, ready.choice, onRun = model::check)
        Tab.SETTINGS -> SettingsScreen(model, ready)
    }
}
