"""Reductions along axes: sums, means, extremes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor

_Lowering: TypeAlias = Callable[[LayerGraph, Layer], Tensor]

_OPERATIONS: Final = {
    "SUM": "ReduceSum",
    "AVG": "ReduceMean",
    "PROD": "ReduceProd",
    "LOGSUM": "ReduceSum",
    "SUMSQUARE": "ReduceSumSquare",
    "L1": "ReduceL1",
    "L2": "ReduceL2",
    "MAX": "ReduceMax",
    "MIN": "ReduceMin",
    "ARGMAX": "ArgMax",
}
_AXES: Final = {"CHW": (3, 2, 1), "HW": (2, 1), "C": (3,), "H": (2,), "W": (1,)}
"""Counted from the back."""


def reduce(graph: LayerGraph, layer: Layer) -> Tensor:
    """Reduce channels, height or width, which stay with length 1.

    LOGSUM is the sum of ln(x + epsilon), not the logarithm of a sum.

    Source: message `ReduceLayerParams` of NeuralNetwork.proto.
    """
    mode = layer.choice("mode", tuple(_OPERATIONS))
    behind = _AXES[layer.choice("axis", tuple(_AXES))]
    (tensor,) = layer.expect(1, rank=behind[0])
    epsilon = layer.real("epsilon", default=1e-6)
    if mode == "LOGSUM":
        tensor = graph.pointwise("Log", graph.pointwise("Add", tensor, graph.number(epsilon)))
    axes = [tensor.rank - offset for offset in behind]
    if mode != "ARGMAX":
        return graph.reduce(_OPERATIONS[mode], tensor, axes)
    if len(axes) != 1:
        raise layer.damaged("ARGMAX over more than one axis")
    return graph.position_of_maximum(tensor, axes[0])


def _reduction(op: str) -> _Lowering:
    """Reduce any axes, which stay with length 1 or go; at least one dimension stays.

    Source: message `ReduceSumLayerParams` and its like of NeuralNetwork.proto.
    """

    def apply(graph: LayerGraph, layer: Layer) -> Tensor:
        tensor = layer.input
        axes = layer.axes("axes", tensor.rank)
        if layer.flag("reduceAll"):
            axes = list(range(tensor.rank))
        if not axes:
            raise layer.damaged("no axes to reduce")
        result = graph.reduce(op, tensor, axes)
        if layer.flag("keepDims"):
            return result
        kept = [size for axis, size in enumerate(tensor.shape) if axis not in axes]
        return graph.reshape(result, kept or [1])

    return apply


REDUCTION: Final[Mapping[str, _Lowering]] = {
    "reduce": reduce,
    "reduceL1": _reduction("ReduceL1"),
    "reduceL2": _reduction("ReduceL2"),
    "reduceMax": _reduction("ReduceMax"),
    "reduceMin": _reduction("ReduceMin"),
    "reduceSum": _reduction("ReduceSum"),
    "reduceProd": _reduction("ReduceProd"),
    "reduceMean": _reduction("ReduceMean"),
    "reduceLogSum": _reduction("ReduceLogSum"),
    "reduceSumSquare": _reduction("ReduceSumSquare"),
    "reduceLogSumExp": _reduction("ReduceLogSumExp"),
}
