"""Lowers the normalisations of ML Programs.

Source: the coremltools MIL op reference, `normalization`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.errors import BundleError


def batch_norm(call: Call) -> str:
    """`batch_norm`: gamma * (x - mean) / sqrt(variance + epsilon) + beta, along axis 1."""
    call.require_float("x")
    channels = _channels(call)
    parameters = [
        call.tensor("x"),
        _per_channel(call, "gamma", channels, 1.0),
        _per_channel(call, "beta", channels, 0.0),
        _per_channel(call, "mean", channels, None),
        _per_channel(call, "variance", channels, None),
    ]
    return call.graph.node("BatchNormalization", parameters, epsilon=call.real("epsilon", 1e-5))


def instance_norm(call: Call) -> str:
    """`instance_norm`: each channel of each image by its own mean and variance."""
    call.require_float("x")
    channels = _channels(call)
    gamma = _per_channel(call, "gamma", channels, 1.0)
    beta = _per_channel(call, "beta", channels, 0.0)
    epsilon = call.real("epsilon", 1e-5)
    return call.graph.node(
        "InstanceNormalization", [call.tensor("x"), gamma, beta], epsilon=epsilon
    )


def l2_norm(call: Call) -> str:
    """`l2_norm`: x / sqrt(sum of squares over the last three axes + epsilon)."""
    call.require_float("x")
    x, graph = call.tensor("x"), call.graph
    if len(call.shape("x")) < 3:
        raise call.refuse("it is defined from rank 3 on")
    squares = graph.node("ReduceSumSquare", [x, graph.integers([-3, -2, -1])], keepdims=1)
    epsilon = call.constant(np.asarray(call.real("epsilon", 1e-6), np.float32))
    root = graph.node("Sqrt", [graph.node("Add", [squares, epsilon])])
    return graph.node("Div", [x, root])


def layer_norm(call: Call) -> str:
    """`layer_norm`: gamma * (x - mean) / sqrt(variance + epsilon) + beta, over some axes."""
    call.require_float("x")
    shape = call.shape("x")
    axes = call.axes("axes", len(shape), range(len(shape)))
    inner = tuple(shape[axis] for axis in axes)
    for parameter in ("gamma", "beta"):
        if call.has(parameter) and call.shape(parameter) != inner:
            raise BundleError(f"{call.operation}: {parameter} is {call.shape(parameter)}")
    if axes == list(range(len(shape) - len(axes), len(shape))) and axes:
        return _layer_norm_of_last_axes(call, axes[0], inner)
    return _layer_norm_of_any_axes(call, axes)


def _layer_norm_of_last_axes(call: Call, axis: int, inner: tuple[int, ...]) -> str:
    ones = np.broadcast_to(np.float32(1), inner)
    gamma = call.tensor("gamma") if call.has("gamma") else call.constant(ones)
    beta = [call.tensor("beta")] if call.has("beta") else []
    return call.graph.node(
        "LayerNormalization",
        [call.tensor("x"), gamma, *beta],
        axis=axis,
        epsilon=call.real("epsilon", 1e-5),
    )


def _layer_norm_of_any_axes(call: Call, axes: list[int]) -> str:
    x, graph, shape = call.tensor("x"), call.graph, call.shape("x")
    over = graph.integers(axes)
    centred = graph.node("Sub", [x, graph.node("ReduceMean", [x, over], keepdims=1)])
    variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), over], keepdims=1)
    epsilon = call.constant(np.asarray(call.real("epsilon", 1e-5), np.float32))
    result = graph.node(
        "Div", [centred, graph.node("Sqrt", [graph.node("Add", [variance, epsilon])])]
    )
    spread = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    for parameter, onnx in (("gamma", "Mul"), ("beta", "Add")):
        if call.has(parameter):
            along = graph.node("Reshape", [call.tensor(parameter), graph.integers(spread)])
            result = graph.node(onnx, [result, along])
    return result


def _channels(call: Call) -> int:
    shape = call.shape("x")
    if len(shape) < 3:
        raise call.refuse(f"it is defined from rank 3 on, its input is {shape}")
    return shape[1]


def _per_channel(call: Call, parameter: str, channels: int, default: float | None) -> str:
    if default is not None and not call.has(parameter):
        return call.constant(np.broadcast_to(np.float32(default), (channels,)))
    if call.shape(parameter) != (channels,):
        raise BundleError(f"{call.operation}: {parameter} is {call.shape(parameter)}")
    return call.tensor(parameter)


NORMALISATIONS: Final[Mapping[str, Lowering]] = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
}
