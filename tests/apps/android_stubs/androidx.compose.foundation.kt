@file:Suppress("UNUSED_PARAMETER", "unused", "FunctionName")

package androidx.compose.foundation

import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.FilterQuality
import androidx.compose.ui.graphics.ImageBitmap

class ScrollState

@Composable
fun rememberScrollState(initial: Int = 0): ScrollState = TODO()

fun Modifier.verticalScroll(state: ScrollState): Modifier = TODO()

fun Modifier.horizontalScroll(state: ScrollState): Modifier = TODO()

@Composable
fun Image(
    bitmap: ImageBitmap,
    contentDescription: String?,
    modifier: Modifier = Modifier,
    alpha: Float = 1f,
    filterQuality: FilterQuality = FilterQuality.Low,
): Unit = TODO()
