"""What every runner of artifacts offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.spec import Contract, FloatArray, UInt8Array


class Runner(Protocol):
    """An artifact in the engine that runs it."""

    @property
    def engine(self) -> str:
        """What runs it, in words for a report."""

    @property
    def contract(self) -> Contract | None:
        """What the file itself says about image, head and labels; None for a foreign file."""

    @property
    def label_names(self) -> Sequence[str] | None:
        """The labels where the file's ecosystem looks for them; None if it holds none."""

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch.

        Args:
            pixels: (count, height, width, channels), uint8, RGB or gray, of the contract's size.

        Returns:
            (count, labels), float32.
        """


def check_pixels(pixels: UInt8Array, shape: tuple[int, ...], file: str) -> None:
    """Refuse pixels that the artifact was not made for.

    Args:
        pixels: What is about to be fed.
        shape: (height, width, channels) that the artifact takes.
        file: The artifact's name, for the message.

    Raises:
        BundleError: If the shape or the type differs.
    """
    if pixels.ndim != 4 or tuple(pixels.shape[1:]) != tuple(shape) or pixels.dtype != np.uint8:
        raise BundleError(
            f"{file}: takes uint8 images of {'x'.join(map(str, shape))}, "
            f"but was given {pixels.dtype} of {'x'.join(map(str, pixels.shape[1:]))}"
        )
