"""How other libraries resize: what an app feeds that does not take the exact path.

Decoding, orientation and the box are those of `images`; only the resampling is another one. Each
emulation says what is known about its original and what is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilecv_runtime.images import boxed, decode, padded_size
from mobilecv_runtime.spec import ImageInput, UInt8Array

Resizer = Callable[[UInt8Array, int, int], UInt8Array]
"""(rows, columns, channels) uint8, new rows, new columns -> resized, uint8."""


def emulate(photo: str | Path | Image.Image, image: ImageInput, resizer: Resizer) -> UInt8Array:
    """Prepare a photo as `images.prepare` does, but resample with another resizer.

    Args:
        photo: A file that Pillow can read, or an image that it has read.
        image: The wanted geometry; its `resample` plays no part.
        resizer: One of `RESIZERS`.

    Returns:
        (height, width, channels), uint8.

    Raises:
        ImageError: See `images.prepare`.
    """
    upright = decode(photo, gray=image.channels == 1)
    pixels = np.asarray(boxed(upright, image), np.uint8)
    pixels = pixels.reshape(*pixels.shape[:2], image.channels)
    if image.fit != "pad":
        return resizer(pixels, image.height, image.width)
    width, height = padded_size(upright.size, (image.width, image.height))
    framed = np.zeros(image.shape, np.uint8)
    top, left = (image.height - height) // 2, (image.width - width) // 2
    framed[top : top + height, left : left + width] = resizer(pixels, height, width)
    return framed


def two_tap_rounded(pixels: UInt8Array, height: int, width: int) -> UInt8Array:
    """Bilinear from the two nearest pixels of each axis, without antialiasing, rounded.

    So do `cv2.resize(..., INTER_LINEAR)` (within one level: OpenCV has weights of 11 bits), and
    Android's `Bitmap.createScaledBitmap(..., filter = true)`, whose arithmetic in Skia is not
    documented and may differ by a level more.
    """
    rounded: UInt8Array = np.floor(_two_tap(pixels, height, width) + 0.5).astype(np.uint8)
    return rounded


def two_tap_truncated(pixels: UInt8Array, height: int, width: int) -> UInt8Array:
    """The same, cut off: `tf.cast(tf.image.resize(image, size), tf.uint8)`, not antialiased."""
    return _two_tap(pixels, height, width).astype(np.uint8)


def lanczos(pixels: UInt8Array, height: int, width: int) -> UInt8Array:
    """Lanczos with three lobes, antialiased.

    Apple does not document how Vision resizes. This is what vImage's scaling functions, which the
    system offers for it, are documented to use; an assumption.
    """
    channels = [
        np.asarray(
            Image.fromarray(pixels[..., c]).resize((width, height), Image.Resampling.LANCZOS)
        )
        for c in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=-1)


RESIZERS: Final[Mapping[str, Resizer]] = {
    "android": two_tap_rounded,
    "vision": lanczos,
    "opencv": two_tap_rounded,
    "tf": two_tap_truncated,
}


def _two_tap(pixels: UInt8Array, height: int, width: int) -> NDArray[np.float32]:
    rows, row_share = _taps(pixels.shape[0], height)
    columns, column_share = _taps(pixels.shape[1], width)
    values = pixels.astype(np.float32)
    share = row_share[:, None, None]
    values = values[rows[0]] * (1 - share) + values[rows[1]] * share
    share = column_share[None, :, None]
    resized: NDArray[np.float32] = (
        values[:, columns[0]] * (1 - share) + values[:, columns[1]] * share
    )
    return resized


def _taps(before: int, after: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The two pixels around each centre, (2, after), and the share of the second one."""
    centres = (np.arange(after) + 0.5) * (before / after) - 0.5
    centres = np.clip(centres, 0, before - 1)
    first = np.floor(centres).astype(np.intp)
    second = np.minimum(first + 1, before - 1)
    return np.stack([first, second]), (centres - first).astype(np.float32)
