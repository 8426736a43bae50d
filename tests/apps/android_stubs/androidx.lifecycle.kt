@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.lifecycle

import android.app.Application

interface LifecycleOwner

abstract class ViewModel {
    protected open fun onCleared(): Unit = TODO()
}

open class AndroidViewModel(application: Application) : ViewModel()
