@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.compose.ui.graphics

import android.graphics.Bitmap

interface ImageBitmap

fun Bitmap.asImageBitmap(): ImageBitmap = TODO()

@JvmInline
value class Color(val value: ULong) {
    companion object {
        val Unspecified: Color get() = TODO()
    }
}

@JvmInline
value class FilterQuality internal constructor(val value: Int) {
    companion object {
        val None: FilterQuality get() = TODO()
        val Low: FilterQuality get() = TODO()
    }
}
