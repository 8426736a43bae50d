package org.mobilecv.app.camera

import androidx.camera.core.ImageInfo
import androidx.camera.core.ImageProxy
import java.lang.reflect.Proxy
import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test
import org.mobilecv.core.Pixels

/** Frames are turned upright, and given back to the camera once. */
class FrameAnalyzerTest {
    private var closed = 0

    @Test
    fun aFrameIsTurnedAndLosesThePaddingOfItsRows() {
        var seen: Pixels? = null
        FrameAnalyzer { read -> seen = read() }.analyze(frame(rotationDegrees = 90))
        // Stored as 1 2 3 / 4 5 6; turned right, the first column is the first row from below.
        val upright = checkNotNull(seen)
        assertEquals(2 to 3, upright.width to upright.height)
        assertArrayEquals(levels(4, 1, 5, 2, 6, 3), upright.packed())
    }

    @Test
    fun aFrameIsOpenUntilItIsAnsweredAndThenClosedOnce() {
        FrameAnalyzer { assertEquals(0, closed) }.analyze(frame(rotationDegrees = 0))
        assertEquals(1, closed)
    }

    @Test
    fun aFrameIsClosedOnceEvenWhenItsAnswerFails() {
        val analyzer = FrameAnalyzer { throw IllegalStateException("no answer") }
        assertThrows(IllegalStateException::class.java) { analyzer.analyze(frame(rotationDegrees = 0)) }
        assertEquals(1, closed)
    }

    /** Two rows of three pixels and four bytes of padding; R, G and B are the same number. */
    private fun frame(rotationDegrees: Int): ImageProxy {
        val rgba = ByteBuffer.allocateDirect(2 * 16 - 4)
        for ((place, level) in listOf(1, 2, 3, 4, 5, 6).withIndex()) {
            rgba.position(place / 3 * 16 + place % 3 * 4)
            repeat(3) { rgba.put(level.toByte()) }
            rgba.put(-1)
        }
        rgba.rewind()
        val plane = fake<ImageProxy.PlaneProxy>(mapOf("getBuffer" to rgba, "getRowStride" to 16))
        val info = fake<ImageInfo>(mapOf("getRotationDegrees" to rotationDegrees))
        return fake(
            mapOf("getWidth" to 3, "getHeight" to 2, "getPlanes" to arrayOf(plane), "getImageInfo" to info),
        )
    }

    private fun levels(vararg levels: Int): ByteArray =
        levels.flatMap { level -> List(3) { level.toByte() } }.toByteArray()

    /** CameraX's interfaces have many more members than a frame needs here; the others fail. */
    private inline fun <reified T> fake(answers: Map<String, Any>): T =
        Proxy.newProxyInstance(T::class.java.classLoader, arrayOf(T::class.java)) { _, method, _ ->
            if (method.name == "close") closed++ else answers.getValue(method.name)
            answers[method.name]
        } as T
}
