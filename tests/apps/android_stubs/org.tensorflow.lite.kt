@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package org.tensorflow.lite

import java.nio.ByteBuffer

enum class DataType { FLOAT32, INT32, UINT8, INT64, STRING, BOOL, INT16, INT8 }

interface Tensor {
    fun dataType(): DataType

    fun shape(): IntArray
}

class Interpreter(byteBuffer: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(numThreads: Int): Options = TODO()
    }

    fun getInputTensor(inputIndex: Int): Tensor = TODO()

    fun getOutputTensor(outputIndex: Int): Tensor = TODO()

    fun run(input: Any, output: Any): Unit = TODO()

    override fun close(): Unit = TODO()
}
