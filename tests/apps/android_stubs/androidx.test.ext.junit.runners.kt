@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.test.ext.junit.runners

import org.junit.runners.BlockJUnit4ClassRunner

class AndroidJUnit4(klass: Class<*>) : BlockJUnit4ClassRunner(klass)
