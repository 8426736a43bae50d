@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.content.pm

abstract class PackageManager {
    companion object {
        const val PERMISSION_GRANTED: Int = 0
    }
}
