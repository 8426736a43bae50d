"""Functions of each value by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from mobilecv_runtime.coreml.layers.activation import affine
from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor

_Lowering: TypeAlias = Callable[[LayerGraph, Layer], Tensor]

_FUNCTIONS: Final = ("SQRT", "RSQRT", "INVERSE", "POWER", "EXP", "LOG", "ABS", "THRESHOLD")


def unary(graph: LayerGraph, layer: Layer) -> Tensor:
    """A function of scale * x + shift.

    An epsilon is added under RSQRT and INVERSE alone, and a missing one is 1e-6.

    Source: message `UnaryFunctionLayerParams` of NeuralNetwork.proto.
    """
    scale, shift = layer.real("scale", default=1.0), layer.real("shift")
    epsilon, alpha = layer.real("epsilon", default=1e-6), layer.real("alpha")
    tensor = affine(graph, layer.input, scale, shift)
    name = layer.choice("type", _FUNCTIONS)
    if name in ("RSQRT", "INVERSE"):
        tensor = graph.pointwise("Add", tensor, graph.number(epsilon))
    if name == "RSQRT":
        return graph.pointwise("Reciprocal", graph.pointwise("Sqrt", tensor))
    if name == "POWER":
        return graph.pointwise("Pow", tensor, graph.number(alpha))
    if name == "THRESHOLD":
        return graph.at_least(tensor, alpha)
    return graph.pointwise(_PLAIN[name], tensor)


_PLAIN: Final = {"SQRT": "Sqrt", "INVERSE": "Reciprocal", "EXP": "Exp", "LOG": "Log", "ABS": "Abs"}


def exp2(graph: LayerGraph, layer: Layer) -> Tensor:
    """2 ** x. Source: message `Exp2LayerParams` of NeuralNetwork.proto."""
    tensor = layer.input
    return graph.apply("Pow", [graph.number(2.0), tensor], tensor.shape)


def copy(_: LayerGraph, layer: Layer) -> Tensor:
    """The input itself. Source: message `CopyLayerParams` of NeuralNetwork.proto."""
    return layer.input


def _function(op: str) -> _Lowering:
    """A layer without parameters that is defined by its mathematical name."""

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        return graph.pointwise(op, layer.input)

    return apply


UNARY: Final[Mapping[str, _Lowering]] = {
    "unary": unary,
    "exp2": exp2,
    "copy": copy,
    "ceil": _function("Ceil"),
    "floor": _function("Floor"),
    "sign": _function("Sign"),
    "round": _function("Round"),
    "sin": _function("Sin"),
    "cos": _function("Cos"),
    "tan": _function("Tan"),
    "asin": _function("Asin"),
    "acos": _function("Acos"),
    "atan": _function("Atan"),
    "sinh": _function("Sinh"),
    "cosh": _function("Cosh"),
    "tanh": _function("Tanh"),
    "asinh": _function("Asinh"),
    "acosh": _function("Acosh"),
    "atanh": _function("Atanh"),
    "erf": _function("Erf"),
}
