@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.compose.ui.unit

@JvmInline
value class Dp(val value: Float)

inline val Int.dp: Dp get() = Dp(toFloat())
