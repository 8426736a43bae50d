@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.activity

import android.content.Context
import android.os.Bundle
import androidx.lifecycle.ViewModel

open class ComponentActivity : Context() {
    protected open fun onCreate(savedInstanceState: Bundle?): Unit = TODO()

    override fun checkSelfPermission(permission: String): Int = TODO()
}

fun ComponentActivity.enableEdgeToEdge(): Unit = TODO()

inline fun <reified VM : ViewModel> ComponentActivity.viewModels(): Lazy<VM> = TODO()
