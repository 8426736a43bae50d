@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.camera.lifecycle

import android.content.Context
import androidx.camera.core.Camera
import androidx.camera.core.CameraSelector
import androidx.camera.core.UseCase
import androidx.lifecycle.LifecycleOwner

class ProcessCameraProvider private constructor() {
    /** @throws androidx.camera.core.CameraInfoUnavailableException */
    fun hasCamera(cameraSelector: CameraSelector): Boolean = TODO()

    fun bindToLifecycle(
        lifecycleOwner: LifecycleOwner,
        cameraSelector: CameraSelector,
        vararg useCases: UseCase?,
    ): Camera = TODO()

    fun unbind(vararg useCases: UseCase?): Unit = TODO()

    companion object
}

suspend fun ProcessCameraProvider.Companion.awaitInstance(context: Context): ProcessCameraProvider = TODO()
