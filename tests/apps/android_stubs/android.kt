@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android

class Manifest {
    object permission {
        const val CAMERA: String = "android.permission.CAMERA"
    }
}
