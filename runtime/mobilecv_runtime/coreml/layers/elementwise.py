"""Arithmetic, comparison and choice between the values of several tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final, TypeAlias

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor, broadcast

_Lowering: TypeAlias = Callable[[LayerGraph, Layer], Tensor]


def _legacy(op: str, *, scalar: bool) -> _Lowering:
    """Layers of the first specification: several inputs, or one input and the scalar alpha.

    Source: messages `AddLayerParams`, `MultiplyLayerParams`, `MaxLayerParams`, `MinLayerParams` of
    NeuralNetwork.proto; see `_aligned`.
    """

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        alpha = layer.real("alpha") if scalar else None
        if alpha is not None and len(layer.inputs) == 1:
            return graph.pointwise(op, layer.input, graph.number(alpha))
        return _folded(graph, op, _aligned(layer))

    return apply


def _aligned(layer: Layer) -> tuple[Tensor, ...]:
    """The inputs of a layer of the first specification, whose shapes have one meaning together.

    "In general, there are no rank constraints", say its messages, and the head of
    NeuralNetwork.proto counts channel, height and width from the back. So inputs of different ranks
    fit where all have these three axes, or hold a single value. Whether a vector runs along the
    channels, as in `RANK5_ARRAY_MAPPING`, or along the width, is not said.
    """
    inputs = _several(layer)
    ranks = {tensor.rank for tensor in inputs if math.prod(tensor.shape) != 1}
    if len(ranks) > 1 and min(ranks) < 3:
        shapes = ", ".join(str(tensor.shape) for tensor in inputs)
        raise layer.unsupported(f"inputs of different ranks, some below 3: {shapes}")
    return inputs


def _several(layer: Layer) -> tuple[Tensor, ...]:
    if len(layer.inputs) < 2:
        raise layer.damaged(f"{len(layer.inputs)} inputs, expected 2 or more")
    return layer.inputs


def _folded(graph: LayerGraph, op: str, inputs: tuple[Tensor, ...]) -> Tensor:
    return reduce(lambda first, second: graph.binary(op, first, second), inputs)


def average(graph: LayerGraph, layer: Layer) -> Tensor:
    """The mean of the inputs. Source: message `AverageLayerParams` of NeuralNetwork.proto."""
    total = _folded(graph, "Add", _aligned(layer))
    return graph.pointwise("Mul", total, graph.number(1.0 / len(layer.inputs)))


def _broadcastable(op: str) -> _Lowering:
    """Arithmetic with numpy's broadcasting, on two inputs; max and min and add take more.

    Source: messages `AddBroadcastableLayerParams` and its like of NeuralNetwork.proto.
    """

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        if op not in ("Max", "Min", "Add", "Mul"):
            layer.expect(2)
        return _folded(graph, op, _several(layer))

    return apply


def floor_division(graph: LayerGraph, layer: Layer) -> Tensor:
    """Floor(x / y). Source: message `FloorDivBroadcastableLayerParams` of NeuralNetwork.proto."""
    first, second = layer.expect(2)
    return graph.pointwise("Floor", graph.binary("Div", first, second))


def _comparison(op: str, *, negated: bool = False) -> _Lowering:
    """1.0 where it is true, else 0.0; of two inputs, or of one and the scalar alpha.

    Source: messages `EqualLayerParams`, `LessThanLayerParams` and their like of
    NeuralNetwork.proto.
    """

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        alpha = graph.number(layer.real("alpha"))
        first, second = (*layer.inputs, alpha) if len(layer.inputs) == 1 else layer.expect(2)
        answer = graph.boolean(op, [first, second])
        if negated:
            answer = graph.boolean("Not", [answer])
        return graph.number_of(answer, broadcast(first.shape, second.shape))

    return apply


def _logical(op: str) -> _Lowering:
    """Logic on values that are true when not 0.

    Source: messages `LogicalAndLayerParams` and its like of NeuralNetwork.proto.
    """

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        tensors = layer.expect(1 if op == "Not" else 2)
        answer = graph.boolean(op, [graph.truth(tensor) for tensor in tensors])
        return graph.number_of(answer, broadcast(*(tensor.shape for tensor in tensors)))

    return apply


def where(graph: LayerGraph, layer: Layer) -> Tensor:
    """X where the condition is not 0, else y.

    Source: message `WhereBroadcastableLayerParams` of NeuralNetwork.proto.
    """
    condition, first, second = layer.expect(3)
    shape = broadcast(condition.shape, first.shape, second.shape)
    return graph.apply("Where", [graph.truth(condition), first, second], shape)


ELEMENTWISE: Final[Mapping[str, _Lowering]] = {
    "add": _legacy("Add", scalar=True),
    "multiply": _legacy("Mul", scalar=True),
    "max": _legacy("Max", scalar=False),
    "min": _legacy("Min", scalar=False),
    "average": average,
    "addBroadcastable": _broadcastable("Add"),
    "subtractBroadcastable": _broadcastable("Sub"),
    "multiplyBroadcastable": _broadcastable("Mul"),
    "divideBroadcastable": _broadcastable("Div"),
    "powBroadcastable": _broadcastable("Pow"),
    "maxBroadcastable": _broadcastable("Max"),
    "minBroadcastable": _broadcastable("Min"),
    "floorDivBroadcastable": floor_division,
    "equal": _comparison("Equal"),
    "notEqual": _comparison("Equal", negated=True),
    "lessThan": _comparison("Less"),
    "lessEqual": _comparison("LessOrEqual"),
    "greaterThan": _comparison("Greater"),
    "greaterEqual": _comparison("GreaterOrEqual"),
    "logicalAnd": _logical("And"),
    "logicalOr": _logical("Or"),
    "logicalXor": _logical("Xor"),
    "logicalNot": _logical("Not"),
    "whereBroadcastable": where,
}
