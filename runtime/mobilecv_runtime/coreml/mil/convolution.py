"""Lowers the convolutions and pools of ML Programs.

Source: the coremltools MIL op reference, `conv`, `conv_transpose` and `pool`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.coreml.mil.windows import stated_padding, windows
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


def conv_transpose(call: Call) -> str:
    """`conv_transpose`: the transpose of `conv`, with weights (C_in, C_out / groups, *kernel).

    With the pad_type `same`, each length becomes that of the input times the stride; what is cut
    lies where the padding of the convolution would lie. The reference does not say where
    `output_shape` cuts, so another shape than the padding gives is refused.
    """
    call.require_float("x")
    x, weight, groups = call.shape("x"), call.shape("weight"), call.integer("groups", 1)
    if len(x) != len(weight) or groups < 1 or x[1] != weight[0] or weight[0] % groups:
        raise BundleError(f"{call.operation}: weights {weight}, {groups} groups and input {x}")
    kernel, axes = weight[2:], len(x) - 2
    strides, dilations = (call.integers(each, [1] * axes) for each in ("strides", "dilations"))
    if not len(strides) == len(dilations) == axes or min([*kernel, *strides, *dilations]) < 1:
        raise BundleError(f"{call.operation}: its parameters do not fit {axes} spatial axes")
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    cuts = _cuts(call, reach, strides)
    lengths = [
        (length - 1) * stride + size - sum(cut)
        for length, stride, size, cut in zip(x[2:], strides, reach, cuts, strict=True)
    ]
    if call.has("output_shape") and call.integers("output_shape")[2:] != lengths:
        raise call.refuse(f"its output_shape is not the {lengths} that the padding gives")
    bias = [call.tensor("bias")] if call.has("bias") else []
    return call.graph.node(
        "ConvTranspose",
        [call.tensor("x"), call.tensor("weight"), *bias],
        strides=strides,
        dilations=dilations,
        pads=[before for before, _ in cuts] + [after for _, after in cuts],
        group=groups,
        kernel_shape=list(kernel),
    )


def _cuts(call: Call, reach: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """What is left out of the result of `conv_transpose`, before and after each axis."""
    _, stated = stated_padding(call, len(reach), ("valid", "custom", "same"))
    if stated is not None:
        return stated
    totals = [size - stride for size, stride in zip(reach, strides, strict=True)]
    if min(totals) < 0:
        raise call.refuse("with the pad_type 'same' its stride exceeds its kernel")
    return [(total // 2, total - total // 2) for total in totals]


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
    "conv_transpose": conv_transpose,
    "max_pool": max_pool,
}
