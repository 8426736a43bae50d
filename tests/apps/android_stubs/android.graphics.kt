@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.graphics

class Bitmap private constructor() {
    enum class Config { ALPHA_8, RGB_565, ARGB_4444, ARGB_8888, RGBA_F16, HARDWARE }

    val width: Int get() = TODO()
    val height: Int get() = TODO()
    val config: Config? get() = TODO()

    fun getPixels(
        pixels: IntArray,
        offset: Int,
        stride: Int,
        x: Int,
        y: Int,
        width: Int,
        height: Int,
    ): Unit = TODO()

    fun copy(config: Config, isMutable: Boolean): Bitmap? = TODO()

    fun recycle(): Unit = TODO()

    companion object {
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap = TODO()
    }
}

class BitmapFactory {
    class Options {
        var inJustDecodeBounds: Boolean = false
        var inPremultiplied: Boolean = true
        var inPreferredConfig: Bitmap.Config = Bitmap.Config.ARGB_8888
        var inPreferredColorSpace: ColorSpace? = null
        var outWidth: Int = 0
        var outHeight: Int = 0
    }

    companion object {
        fun decodeByteArray(data: ByteArray, offset: Int, length: Int, opts: Options): Bitmap? = TODO()
    }
}

abstract class ColorSpace private constructor() {
    enum class Named { SRGB, DISPLAY_P3 }

    companion object {
        fun get(name: Named): ColorSpace = TODO()
    }
}
