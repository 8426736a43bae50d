"""Since which version of the specification Core ML has what a model uses.

Source: the comments on `Model`, `NeuralNetworkLayer` and `NeuralNetworkImageShapeMapping` in
`mlmodel/format/{Model,NeuralNetwork}.proto` of https://github.com/apple/coremltools, and for what
is inside of layers the functions `has...Features` and `isIOS12NeuralNetworkLayer` by which
`mlmodel/src/Utils.cpp` of the same finds the oldest version that has everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.coreml.layer_schema import LAYER_TYPES, LAYERS
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA

OPSETS: Final = {"CoreML5": 6, "CoreML6": 7, "CoreML7": 8, "CoreML8": 9, "CoreML9": 10}
"""Operation set of an ML Program -> specification version: those of iOS 15, 16, 17, 18, 26."""

_LAYERS_OF_VERSION_2: Final = ("custom",)
_LAYERS_OF_VERSION_3: Final = ("resizeBilinear", "cropResize")
_FIRST_FIELD_OF_VERSION_4: Final = 600
_FIRST_FIELD_OF_VERSION_5: Final = 1450
_FIELDS_OF_VERSION_5: Final[Mapping[str, Sequence[str]]] = {
    "innerProduct": ("int8DynamicQuantize",),
    "batchedMatmul": ("int8DynamicQuantize",),
    "upsample": ("linearUpsampleMode", "fractionalScalingFactor"),
    "concatND": ("interleave",),
}
_PIXEL_SHUFFLE: Final = 2
_WEIGHTS: Final = "WeightParams"
_NUMBERS: Final = {name: number for number, name in LAYER_TYPES.items()}
_PARAMETERS: Final = frozenset(name for name, _ in LAYERS.values())
"""The layer types whose parameters are known."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that a model uses."""

    version: int
    """The first specification version that has it."""
    what: str
    """In words, such as `layers of type softmaxND`."""


def layer_type(layer: Message) -> str:
    """The type of a `NeuralNetworkLayer`, such as `convolution`; `unknown` if it has none."""
    types = [field for field in layer.present() if field in LAYER_TYPES.values()]
    return types[0] if types else "unknown"


def network_need(network: Message) -> Need:
    """What of a neural network came last: a layer, something inside of it, or the mapping."""
    needs = [need for layer in network.messages("layers") for need in _layer_needs(layer)]
    if network.integer("imageInputShapeMapping"):
        needs.append(Need(version=4, what="an image input of rank 4"))
    if network.integer("arrayInputShapeMapping"):
        needs.append(Need(version=4, what="an exact arrayInputShapeMapping"))
    return _latest(needs)


def program_need(opsets: Sequence[str]) -> Need:
    """What of an ML Program came last: the program as such, or its operations."""
    known = [opset for opset in opsets if opset in OPSETS]
    needs = [Need(version=OPSETS[opset], what=f"the operation set {opset}") for opset in known]
    return _latest([Need(version=6, what="an ML Program"), *needs])


def _latest(needs: Sequence[Need]) -> Need:
    first = Need(version=1, what="a Core ML model")
    return max([first, *needs], key=lambda need: need.version)


def _layer_needs(layer: Message) -> Iterator[Need]:
    kind = layer_type(layer)
    yield Need(version=_layer_version(kind), what=f"layers of type {kind}")
    if kind not in _PARAMETERS:
        return
    parameters = layer.message(kind)
    for field in _FIELDS_OF_VERSION_5.get(kind, ()):
        if parameters.has(field):
            yield Need(version=5, what=f"{field} in layers of type {kind}")
    if kind == "reorganizeData" and parameters.integer("mode") == _PIXEL_SHUFFLE:
        yield Need(version=5, what="pixel shuffle in layers of type reorganizeData")
    if kind == "convolution" and len(layer.texts("input")) > 1:
        yield Need(version=4, what="convolutions whose weights are an input")
    for weights in _weights(parameters):
        if weights.which("rawValue", "int8RawValue"):
            yield Need(version=3, what="quantized weights")
        elif weights.has("float16Value"):
            yield Need(version=2, what="float16 weights")


def _weights(parameters: Message) -> Iterator[Message]:
    """Every `WeightParams` in the parameters of a layer."""
    for field, kind in SCHEMA[parameters.name].values():
        if kind in SCHEMA and parameters.has(field):
            inner = parameters.message(field)
            yield from [inner] if kind == _WEIGHTS else _weights(inner)


def _layer_version(layer: str) -> int:
    if layer in _LAYERS_OF_VERSION_2:
        return 2
    if layer in _LAYERS_OF_VERSION_3:
        return 3
    number = _NUMBERS.get(layer, 0)
    if number >= _FIRST_FIELD_OF_VERSION_5:
        return 5
    return 4 if number >= _FIRST_FIELD_OF_VERSION_4 else 1
