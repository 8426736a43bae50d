package org.mobilecv.core

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/**
 * UTF-8 bytes as text; a leading byte order mark is dropped, since editors add it unasked.
 *
 * @param name The file, for the message.
 * @throws BundleException If the bytes are not UTF-8. `String(bytes)` would put U+FFFD there instead.
 */
internal fun utf8(bytes: ByteArray, name: String): String =
    try {
        Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString().removePrefix("\uFEFF")
    } catch (error: CharacterCodingException) {
        throw BundleException("$name is not UTF-8 text; export the model again", error)
    }
