@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package android.net

abstract class Uri private constructor()
