package org.mobilecv.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * How integers stand for numbers: `value = (stored - zeroPoint) * scale`
 * (LiteRT 8-bit quantization specification).
 *
 * @property scale Above 0.
 */
data class Quantisation(val scale: Float, val zeroPoint: Int) {
    /** What [stored] stands for. */
    fun value(stored: Int): Float = (stored - zeroPoint) * scale

    /** The uint8, 0..255, that stands for a pixel best; half steps go to the even number. */
    fun stored(pixel: Int): Int = (Math.rint(pixel / scale.toDouble()).toInt() + zeroPoint).coerceIn(0, 255)

    /** Whether every pixel is its own stored value. */
    val isIdentity: Boolean get() = scale == 1f && zeroPoint == 0
}

/**
 * Prepared pixels as the input tensor wants them.
 *
 * @param pixels As [prepare] gives them.
 * @return A direct buffer in native byte order, at its beginning: float32 0..255, or uint8.
 * @throws BundleException If the tensor's type is neither.
 */
fun Tensor.encoded(pixels: ByteArray): ByteBuffer =
    when (dtype) {
        "float32" -> levels(pixels)
        "uint8" -> direct(pixels.size).apply { put(stored(pixels)).rewind() }
        else -> throw BundleException("input of type $dtype; this app feeds float32 and uint8")
    }

/**
 * Scores from the output tensor's bytes.
 *
 * @param buffer In native byte order, from its beginning on: [count] values.
 * @throws BundleException If the tensor's type is none of float32, uint8, int8.
 */
fun Tensor.decoded(buffer: ByteBuffer, count: Int): FloatArray {
    buffer.rewind()
    return when (dtype) {
        "float32" -> FloatArray(count) { buffer.getFloat() }
        "uint8" -> FloatArray(count) { quantisation.value(level(buffer.get())) }
        "int8" -> FloatArray(count) { quantisation.value(buffer.get().toInt()) }
        else -> throw BundleException("output of type $dtype; this app reads float32, uint8 and int8")
    }
}

/** An empty buffer for [count] values of the tensor. */
fun Tensor.buffer(count: Int): ByteBuffer = direct(if (dtype == "float32") count * 4 else count)

private fun levels(pixels: ByteArray): ByteBuffer {
    val buffer = direct(pixels.size * 4)
    for (pixel in pixels) buffer.putFloat(level(pixel).toFloat())
    buffer.rewind()
    return buffer
}

private fun Tensor.stored(pixels: ByteArray): ByteArray =
    if (quantisation.isIdentity) {
        pixels
    } else {
        ByteArray(pixels.size) { quantisation.stored(level(pixels[it])).toByte() }
    }

/** A stored byte as 0..255. */
fun level(byte: Byte): Int = byte.toInt() and 0xFF

private fun direct(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
