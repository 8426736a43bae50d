"""Lowers the convolutions and pools of ML Programs.

Source: the coremltools MIL op reference, `conv` and `pool`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.coreml.mil.windows import windows
from mobilecv_runtime.errors import BundleError


def conv(call: Call) -> str:
    """`conv`: cross-correlation with weights (C_out, C_in / groups, *kernel)."""
    call.require_float("x")
    x, weight, groups = call.shape("x"), call.shape("weight"), call.integer("groups", 1)
    if len(x) != len(weight) or groups < 1 or x[1] != weight[1] * groups or weight[0] % groups:
        raise BundleError(f"{call.operation}: weights {weight}, {groups} groups and input {x}")
    around = windows(call, weight[2:])
    bias = [call.tensor("bias")] if call.has("bias") else []
    return call.graph.node(
        "Conv",
        [call.tensor("x"), call.tensor("weight"), *bias],
        strides=around.strides,
        dilations=around.dilations,
        pads=around.pads,
        group=groups,
        kernel_shape=list(weight[2:]),
    )


def max_pool(call: Call) -> str:
    """`max_pool`: the greatest value of each window; padding never wins."""
    return _pool(call, "MaxPool")


def avg_pool(call: Call) -> str:
    """`avg_pool`: the mean of each window.

    Padding, and in `ceil_mode` the overhang of the last window too, counts in the divisor unless
    `exclude_padding_from_average`. Real Core ML's numbers: apple/coremltools pull request 2844.
    """
    excluded = call.flag("exclude_padding_from_average", default=False)
    return _pool(call, "AveragePool", count_include_pad=int(not excluded))


def _pool(call: Call, onnx: str, **attributes: int) -> str:
    call.require_float("x")
    kernel = call.integers("kernel_sizes")
    around = windows(call, kernel, ceil_mode=call.flag("ceil_mode", default=False))
    if any(pad >= size for pad, size in zip(around.pads, kernel * 2, strict=True)):
        raise call.refuse(f"with the pads {around.pads}, windows of {kernel} hold padding only")
    return call.graph.node(
        onnx,
        [call.tensor("x")],
        kernel_shape=kernel,
        strides=around.strides,
        pads=around.pads,
        **attributes,
    )


CONVOLUTIONS: Final[Mapping[str, Lowering]] = {
    "avg_pool": avg_pool,
    "conv": conv,
    "max_pool": max_pool,
}
