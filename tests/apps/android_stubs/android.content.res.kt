@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.content.res

import java.io.Closeable
import java.io.FileDescriptor
import java.io.InputStream

class AssetManager private constructor() {
    fun open(fileName: String): InputStream = TODO()

    fun openFd(fileName: String): AssetFileDescriptor = TODO()
}

open class AssetFileDescriptor private constructor() : Closeable {
    val fileDescriptor: FileDescriptor get() = TODO()
    val startOffset: Long get() = TODO()
    val declaredLength: Long get() = TODO()

    override fun close(): Unit = TODO()
}
