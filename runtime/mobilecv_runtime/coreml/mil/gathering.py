"""Lowers the operations of ML Programs that read or write at indices.

Source: the coremltools MIL op reference, `scatter_gather`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.coreml.mil.values import Constant

_SCATTER_MODES: Final = {"update": "none", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def gather(call: Call) -> str:
    """`gather`: the slices of x at some indices along an axis."""
    axis = call.axis("axis", len(call.shape("x")), 0)
    if call.integer("batch_dims", 0) != 0:
        raise call.refuse("it has batch_dims")
    _check(call, call.shape("x")[axis])
    return call.graph.node("Gather", [call.tensor("x"), _indices(call)], axis=axis)


def scatter(call: Call) -> str:
    """`scatter`: data with updates written at a vector of indices along an axis.

    Which of two updates of the same element wins is undefined; `sub` and `div` are refused.
    """
    shape, updates = call.shape("data"), call.shape("updates")
    axis = call.axis("axis", len(shape), 0)
    mode = call.choice("mode", list(_SCATTER_MODES), "update")
    _check(call, shape[axis])
    indices = call.value("indices")
    if isinstance(indices, Constant) and mode == "update":
        places = np.mod(indices.array, shape[axis])
        if np.unique(places).size != places.size:
            raise call.refuse("it writes the same element twice")
    graph = call.graph
    along = [-1 if place == axis else 1 for place in range(len(shape))]
    placed = graph.node("Reshape", [_indices(call), graph.integers(along)])
    placed = graph.node("Expand", [placed, graph.integers(updates)])
    return graph.node(
        "ScatterElements",
        [call.tensor("data"), placed, call.tensor("updates")],
        axis=axis,
        reduction=_SCATTER_MODES[mode],
    )


def _check(call: Call, size: int) -> None:
    """Refuse constant indices that are out of bounds, whatever `validate_indices` says."""
    call.flag("validate_indices", default=False)
    indices = call.value("indices")
    if isinstance(indices, Constant) and indices.array.size:
        low, high = int(indices.array.min()), int(indices.array.max())
        if low < -size or high >= size:
            raise call.refuse(f"its indices {low} to {high} are out of bounds for size {size}")


def _indices(call: Call) -> str:
    """The indices as int64 of their own shape: the graph holds a constant scalar as a vector."""
    indices = call.graph.node("Cast", [call.tensor("indices")], to=7)
    if call.shape("indices"):
        return indices
    return call.graph.node("Reshape", [indices, call.graph.integers([])])


GATHERING: Final[Mapping[str, Lowering]] = {"gather": gather, "scatter": scatter}
