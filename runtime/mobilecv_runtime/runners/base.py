"""What every runner of artifacts offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.spec import Contract, FloatArray, UInt8Array


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a file itself says about what goes in and comes out."""

    image_shape: tuple[int, int, int]
    """(height, width, channels) of the image input."""
    color: str | None
    """The channel order that the image input names, such as `BGR`; None in formats that have plain
    tensors and name none."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    minimum_runtime: str | None
    """The oldest runtime that reads the file, such as `iOS 15`; None if the file does not say."""


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


class ArtifactRunner(Runner, Protocol):
    """A runner of a file, which says what goes in and comes out."""

    @property
    def signature(self) -> Signature:
        """What the file says about its image and its outputs."""


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
