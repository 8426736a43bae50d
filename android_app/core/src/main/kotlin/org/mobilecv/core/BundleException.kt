package org.mobilecv.core

/**
 * A bundle that cannot be used. The message is for the screen: what was found, what was expected,
 * what to do now.
 */
class BundleException(message: String, cause: Throwable? = null) : Exception(message, cause)
