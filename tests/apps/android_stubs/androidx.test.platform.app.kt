@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.test.platform.app

import android.content.Context

class Instrumentation {
    val targetContext: Context get() = TODO()
}

class InstrumentationRegistry private constructor() {
    companion object {
        fun getInstrumentation(): Instrumentation = TODO()
    }
}
