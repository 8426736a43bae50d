@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.os

class Bundle

class Looper private constructor() {
    companion object {
        fun getMainLooper(): Looper = TODO()
    }
}

open class Handler(looper: Looper) {
    fun post(r: Runnable): Boolean = TODO()
}

object Build {
    object VERSION {
        val SDK_INT: Int = 0
    }

    object VERSION_CODES {
        const val O: Int = 26
    }
}
