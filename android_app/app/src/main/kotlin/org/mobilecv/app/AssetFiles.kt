package org.mobilecv.app

import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import org.mobilecv.core.BundleFiles

/** The bundle in the app's assets. */
internal class AssetFiles(private val assets: AssetManager) : BundleFiles {
    override fun has(path: String): Boolean =
        try {
            assets.open(path).close()
            true
        } catch (_: IOException) {
            false
        }

    override fun read(path: String): ByteBuffer =
        if (path.endsWith(".tflite")) {
            mapped(path)
        } else {
            ByteBuffer.wrap(assets.open(path).use { it.readBytes() })
        }

    /** Needs `noCompress += "tflite"` in `build.gradle.kts`: a compressed asset has no file descriptor. */
    private fun mapped(path: String): ByteBuffer =
        assets.openFd(path).use { asset ->
            FileInputStream(asset.fileDescriptor).use { stream ->
                stream.channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
            }
        }
}
