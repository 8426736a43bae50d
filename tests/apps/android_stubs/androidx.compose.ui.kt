@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.compose.ui

interface Modifier {
    companion object : Modifier
}
