"""Lowers the reductions of ML Programs.

Source: the coremltools MIL op reference, `reduction`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mobilecv_runtime.coreml.mil.call import Call, Lowering


def _reduction(onnx: str) -> Lowering:
    """Over some axes, by default all; they stay with size 1 if `keep_dims`."""

    def lower(call: Call) -> str:
        call.require_float("x")
        rank = len(call.shape("x"))
        axes = call.graph.integers(call.axes("axes", rank, range(rank)))
        keep = call.flag("keep_dims", default=False)
        # Without axes, ONNX would reduce all of them.
        return call.graph.node(
            onnx, [call.tensor("x"), axes], keepdims=int(keep), noop_with_empty_axes=1
        )

    return lower


REDUCTIONS: Final[Mapping[str, Lowering]] = {
    "reduce_l1_norm": _reduction("ReduceL1"),
    "reduce_l2_norm": _reduction("ReduceL2"),
    "reduce_log_sum_exp": _reduction("ReduceLogSumExp"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_mean": _reduction("ReduceMean"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_prod": _reduction("ReduceProd"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_sum_square": _reduction("ReduceSumSquare"),
}
