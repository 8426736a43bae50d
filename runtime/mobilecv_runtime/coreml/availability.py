"""Since which version of the specification Core ML has what a model uses.

Source: the comments on `Model`, `NeuralNetworkLayer` and `NeuralNetworkImageShapeMapping` in
`mlmodel/format/{Model,NeuralNetwork}.proto` of https://github.com/apple/coremltools.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.coreml.layer_schema import LAYER_TYPES

OPSETS: Final = {"CoreML5": 6, "CoreML6": 7, "CoreML7": 8, "CoreML8": 9, "CoreML9": 10}
"""Operation set of an ML Program -> specification version: those of iOS 15, 16, 17, 18, 26."""

_LAYERS_OF_VERSION_2: Final = ("custom",)
_LAYERS_OF_VERSION_3: Final = ("resizeBilinear", "cropResize")
_FIRST_FIELD_OF_VERSION_4: Final = 600
_FIRST_FIELD_OF_VERSION_5: Final = 1450
_NUMBERS: Final = {name: number for number, name in LAYER_TYPES.items()}


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that a model uses."""

    version: int
    """The first specification version that has it."""
    what: str
    """In words, such as `layers of type softmaxND`."""


def network_need(layers: Iterable[str], image_mapping: int) -> Need:
    """What of a neural network came last.

    Args:
        layers: The types of its layers.
        image_mapping: The value of `imageInputShapeMapping`; 1 is that of rank 4.
    """
    needs = [
        Need(version=_layer_version(layer), what=f"layers of type {layer}") for layer in layers
    ]
    mapping = Need(version=4, what="an image input of rank 4")
    return _latest([*needs, *([mapping] if image_mapping else [])])


def program_need(opsets: Sequence[str]) -> Need:
    """What of an ML Program came last: the program as such, or its operations."""
    known = [opset for opset in opsets if opset in OPSETS]
    needs = [Need(version=OPSETS[opset], what=f"the operation set {opset}") for opset in known]
    return _latest([Need(version=6, what="an ML Program"), *needs])


def _latest(needs: Sequence[Need]) -> Need:
    first = Need(version=1, what="a Core ML model")
    return max([first, *needs], key=lambda need: need.version)


def _layer_version(layer: str) -> int:
    if layer in _LAYERS_OF_VERSION_2:
        return 2
    if layer in _LAYERS_OF_VERSION_3:
        return 3
    number = _NUMBERS.get(layer, 0)
    if number >= _FIRST_FIELD_OF_VERSION_5:
        return 5
    return 4 if number >= _FIRST_FIELD_OF_VERSION_4 else 1
