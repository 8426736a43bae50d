package org.mobilecv.app

import java.io.IOException
import org.mobilecv.core.BundleException

/** What the screen says about a failure. */
internal fun messageOf(error: Throwable): String {
    val detail = error.message ?: error.javaClass.simpleName
    return when (error) {
        is BundleException, is PhotoException -> detail
        is OutOfMemoryError -> "There is not enough memory for this; close other apps or take a smaller photo"
        is UnsatisfiedLinkError -> "LiteRT has no library for this device's processor ($detail)"
        is IOException -> "A file cannot be read: $detail"
        else -> "${error.javaClass.simpleName}: $detail"
    }
}
