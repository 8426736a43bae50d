"""Takes large kernels around TFLiteConverter, which holds them some ten times.

A constant of a single number is one number to the converter, whatever its shape, until it writes
the file. So each large kernel goes through it as a number of its own, and is filled in afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv.targets.linear_layers import fold_factors, linear_layers
from mobilecv.tflite_packing import pack, unpack
from mobilecv_runtime.errors import guest

LARGE: Final = 1 << 20
"""Bytes from which on a kernel is worth the detour."""
_FIRST_NUMBER: Final = 1 << 20
"""From here on, whole numbers that float32 holds exactly stand for kernels."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A kernel that is not in its graph any more."""

    name: str
    """Of its constant."""
    factors: NDArray[np.float32]
    """What it is multiplied with on its way into the file, (outputs,) or (1,)."""


def take_out(definition: Any) -> tuple[Any, dict[float, Taken]]:
    """Put a number in the place of every large kernel.

    Args:
        definition: A GraphDef; it is changed.

    Returns:
        A GraphDef without the kernels, and number -> kernel.
    """
    layers = linear_layers(definition, LARGE)
    if not layers:
        return definition, {}
    factors = fold_factors(definition, layers)
    taken = {}
    for number, (layer, each) in enumerate(zip(layers, factors, strict=True), _FIRST_NUMBER):
        tensor = layer.kernel.attr["value"].tensor
        filled = type(tensor)(dtype=tensor.dtype, float_val=[number])
        filled.tensor_shape.CopyFrom(tensor.tensor_shape)
        tensor.CopyFrom(filled)
        taken[float(number)] = Taken(name=layer.kernel.name, factors=each)
    # A message gives its memory back only when it is gone as a whole.
    smaller = type(definition)()
    smaller.ParseFromString(definition.SerializeToString())
    return smaller, taken


def put_back(model: bytes, kernels: dict[float, NDArray[np.float32]]) -> bytes | None:
    """Fill the kernels in.

    Args:
        model: The converted flatbuffer.
        kernels: Number that stands for it -> a kernel, (..., inputs, outputs), with its factors in
            it. They are taken from here one by one, so that none is held longer than it must be.

    Returns:
        The flatbuffer; None if a number is not found as the weights of one layer, because the
        converter has computed something with it.
    """
    schema = guest("ai_edge_litert.schema_py_generated", extra="tflite")
    unpacked = unpack(model)
    (graph,) = unpacked.subgraphs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in unpacked.operatorCodes]
    operators = schema.BuiltinOperator
    for op in graph.operators:
        if codes[op.opcodeIndex] not in (operators.CONV_2D, operators.FULLY_CONNECTED):
            continue
        tensor = graph.tensors[op.inputs[1]]
        buffer = unpacked.buffers[tensor.buffer]
        number = _only_number(buffer.data)
        if number not in kernels:
            continue
        weights = np.moveaxis(kernels.pop(number), -1, 0)
        if weights.shape != tuple(tensor.shape):
            return None
        buffer.data = np.ascontiguousarray(weights).reshape(-1).view(np.uint8)
    return None if kernels else pack(unpacked, len(model))


def _only_number(data: NDArray[np.uint8] | None) -> float | None:
    """The number that a buffer of float32 holds everywhere; None if there are several."""
    if data is None or len(data) < 4 or len(data) % 4:
        return None
    values = np.asarray(data, np.uint8).view(np.float32)
    return float(values[0]) if (values == values[0]).all() else None
