@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.content

import android.content.res.AssetManager
import android.net.Uri
import java.io.InputStream

abstract class Context {
    val assets: AssetManager get() = TODO()
    val contentResolver: ContentResolver get() = TODO()

    abstract fun checkSelfPermission(permission: String): Int
}

abstract class ContentResolver {
    /** @throws java.io.FileNotFoundException */
    fun openInputStream(uri: Uri): InputStream? = TODO()
}
