package org.mobilecv.app.ui

import android.Manifest
import android.content.pm.PackageManager
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.height
import androidx.compose.material3.Button
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.unit.dp
import org.mobilecv.app.AppModel
import org.mobilecv.app.Stage
import org.mobilecv.app.camera.CameraPreview

/** The live camera with the answer to its latest frame; asks for the permission first. */
@Composable
internal fun CameraScreen(model: AppModel, ready: Stage.Ready) {
    val context = LocalContext.current
    var allowed by remember {
        val permission = context.checkSelfPermission(Manifest.permission.CAMERA)
        mutableStateOf(permission == PackageManager.PERMISSION_GRANTED)
    }
    val request =
        rememberLauncherForActivityResult(ActivityResultContracts.RequestPermission()) { allowed = it }
    if (!allowed) {
        Text("Frames are classified on this device and kept nowhere.")
        Text("If Android does not ask any more, allow the camera in the system's settings of this app.")
        Button(onClick = { request.launch(Manifest.permission.CAMERA) }) { Text("Allow the camera") }
        return
    }
    CameraPreview(
        executor = model.frames,
        onFrame = model::classifyFrame,
        onFailure = model::cameraFailed,
        modifier = Modifier.fillMaxWidth().height(320.dp),
    )
    Scrolled { OutcomeView(model.state.live, ready.bundle.manifest.image, model.state.threshold) }
}
