package org.mobilecv.app.camera

import android.content.Context
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.UseCase
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.lifecycle.awaitInstance
import androidx.camera.view.PreviewView
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.viewinterop.AndroidView
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.compose.LocalLifecycleOwner
import java.util.concurrent.Executor
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.awaitCancellation
import org.mobilecv.core.Pixels

/**
 * The camera's picture; its frames are analysed as long as it is shown.
 *
 * @param executor Where [onFrame] is called, one frame at a time.
 */
@Composable
internal fun CameraPreview(
    executor: Executor,
    onFrame: (read: () -> Pixels) -> Unit,
    onFailure: (message: String) -> Unit,
    modifier: Modifier = Modifier,
) {
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val view = remember { PreviewView(context) }
    LaunchedEffect(owner) {
        try {
            run(context, owner, view, analysis(executor, onFrame))
        } catch (error: CancellationException) {
            throw error
        } catch (error: Exception) {
            onFailure("The camera cannot be opened: ${error.message}")
        }
    }
    AndroidView(factory = { view }, modifier = modifier)
}

/** Runs the camera until it is cancelled. */
private suspend fun run(
    context: Context,
    owner: LifecycleOwner,
    view: PreviewView,
    analysis: ImageAnalysis,
) {
    val provider = ProcessCameraProvider.awaitInstance(context)
    val preview = Preview.Builder().build()
    preview.setSurfaceProvider(view.surfaceProvider)
    val useCases = arrayOf<UseCase>(preview, analysis)
    try {
        provider.bindToLifecycle(owner, selector(provider), *useCases)
        awaitCancellation()
    } finally {
        analysis.clearAnalyzer()
        provider.unbind(*useCases)
    }
}

private fun selector(provider: ProcessCameraProvider): CameraSelector =
    listOf(CameraSelector.DEFAULT_BACK_CAMERA, CameraSelector.DEFAULT_FRONT_CAMERA)
        .firstOrNull { provider.hasCamera(it) }
        ?: throw IllegalStateException("this device has none; pick a photo instead")

private fun analysis(executor: Executor, onFrame: (read: () -> Pixels) -> Unit): ImageAnalysis {
    val analysis =
        ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .build()
    analysis.setAnalyzer(executor, FrameAnalyzer(onFrame))
    return analysis
}
