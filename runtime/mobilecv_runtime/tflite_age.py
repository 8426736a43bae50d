"""The oldest TFLite runtime that computes a file rightly.

A `.tflite` may carry a note of its converter (`min_runtime_version`), and every operation has a
version. Neither is raised by ai-edge-quantizer 0.10: it writes int8 files whose convolutions are
still of version 1, and which say that TFLite 1.6 reads them. So the data types are looked at. Which
combination needs which version of an operation, and which release brought that, is written in
TensorFlow's `lite/tools/versioning/op_version.cc` and `runtime_version.cc`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from mobilecv_runtime.census import Layer

Release: TypeAlias = tuple[int, ...]

_OPERATIONS: Final[Mapping[str, Release]] = {
    "BATCH_MATMUL": (2, 3),
    "GELU": (2, 9),
    "HARD_SWISH": (1, 15),
}
"""Operations of classifiers that came late."""
_PER_CHANNEL_DYNAMIC: Final[Mapping[str, Release]] = {
    "CONV_2D": (2, 4),
    "DEPTHWISE_CONV_2D": (2, 3),
    "FULLY_CONNECTED": (2, 17),
}
"""Versions 5, 6 and 12 of them: float activations meet int8 weights with a scale per channel. An
older runtime would use the first channel's scale for all."""
_INT8: Final = (1, 14)
_INT16: Final = (2, 3)
_FLOAT16_WEIGHTS: Final = (1, 15)
_OLDEST: Final = (1, 5)
"""The first release whose file format is read today."""


def minimum_release(layers: Sequence[Layer], noted: str | None) -> str:
    """The oldest release for these layers, such as `TFLite 2.17`.

    Args:
        layers: Of the file.
        noted: What its converter noted, such as `1.14.0`.
    """
    note = tuple(int(part) for part in noted.split(".")[:2]) if noted else _OLDEST
    needed = max([note, *(_needed(layer) for layer in layers)])
    return f"TFLite {'.'.join(map(str, needed))}"


def _needed(layer: Layer) -> Release:
    needs = [_OPERATIONS.get(layer.operation, _OLDEST)]
    if layer.weights.startswith("float16"):
        needs.append(_FLOAT16_WEIGHTS)
    if layer.activations == "int16":
        needs.append(_INT16)
    if "int8" in (layer.activations, layer.weights.partition(" ")[0]):
        needs.append(_INT8)
    if layer.arithmetic == "dynamic" and layer.weights.endswith("per-channel"):
        needs.append(_PER_CHANNEL_DYNAMIC.get(layer.operation, _OLDEST))
    return max(needs)
