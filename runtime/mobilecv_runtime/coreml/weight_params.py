"""Reads the weights of neural-network layers, plain or quantized.

Source: messages `WeightParams`, `QuantizationParams`, `LinearQuantizationParams` and
`LookUpTableQuantizationParams` of NeuralNetwork.proto. The proto leaves open in which order the
bits of narrow weights lie; `_unpack_to_bytes` of coremltools' `quantization_utils` reads them as
one stream, the most significant bit first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.lowering import UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

Weights: TypeAlias = NDArray[np.float32]
_Steps: TypeAlias = NDArray[np.uint8] | NDArray[np.int8]

_PLAIN: Final = ("floatValue", "float16Value")
_STORAGES: Final = (*_PLAIN, "rawValue", "int8RawValue")


def read_weights(
    weights: Message, shape: Sequence[int], where: str, *, channel_axis: int = 0
) -> Weights:
    """The values of a `WeightParams` as float32.

    Args:
        weights: The message.
        shape: The shape that the layer gives them, row-major.
        where: The layer and the parameter, for errors.
        channel_axis: The axis of the output channels, along which quantization may differ.

    Raises:
        BundleError: If the number of values is not that of the shape.
        UnsupportedError: If they are stored in a way that the specification does not describe.
    """
    stored = [field for field in _STORAGES if weights.has(field)]
    if len(stored) != 1:
        found = " and ".join(stored) or "no values"
        raise BundleError(f"{where}: {found}, expected one list of values; convert the model again")
    weights.integer("isUpdatable")  # Whether a device may train them changes no prediction.
    count = math.prod(shape)
    if stored[0] == "floatValue":
        values = weights.reals("floatValue")
    elif stored[0] == "float16Value":
        values = _halves(weights.data("float16Value"), where)
    else:
        values = _quantized(weights, stored[0], shape, where, channel_axis)
    if stored[0] in _PLAIN:
        # coremltools leaves an empty one where it has undone a quantization.
        refuse_unread(weights.message("quantization"), where)
    refuse_unread(weights, where)
    if values.size != count:
        raise BundleError(f"{where}: {values.size} values, expected {count} for shape {shape}")
    return values.astype(np.float32, copy=False).reshape(shape)


def storage_of(weights: Message) -> str:
    """How the values of a `WeightParams` are stored, such as `uint8 per-channel`."""
    if weights.has("floatValue"):
        return "float32"
    if weights.has("float16Value"):
        return "float16"
    quantization = weights.message("quantization")
    bits = quantization.integer("numberOfBits")
    if quantization.has("lookupTableQuantization"):
        return f"lookup table of {bits} bits"
    kind = f"int{bits}" if weights.has("int8RawValue") else f"uint{bits}"
    scales = quantization.message("linearQuantization").reals("scale").size
    return f"{kind} per-{'channel' if scales > 1 else 'tensor'}"


def _halves(data: memoryview, where: str) -> NDArray[np.float16]:
    if len(data) % 2:
        raise BundleError(f"{where}: {len(data)} bytes are no float16 values; the file is damaged")
    return np.frombuffer(data, "<f2")


def _quantized(
    weights: Message, storage: str, shape: Sequence[int], where: str, channel_axis: int
) -> Weights:
    quantization = weights.message("quantization")
    bits = quantization.integer("numberOfBits")
    linear, table = (
        quantization.has(field) for field in ("linearQuantization", "lookupTableQuantization")
    )
    if linear == table or not 1 <= bits <= 8:
        raise UnsupportedError(
            f"{where}: quantized to {bits} bits, expected 1 to 8 with either scales or a table; "
            "quantize the model again with coremltools"
        )
    count = math.prod(shape)
    if storage == "int8RawValue":
        if bits != 8 or table:
            raise UnsupportedError(f"{where}: int8RawValue needs 8 bits and linearQuantization")
        raw = _exactly(weights.data(storage), count, where)
        steps: _Steps = np.frombuffer(raw, np.int8)
    else:
        raw = _exactly(weights.data(storage), -(-count * bits // 8), where)
        steps = _unpack(np.frombuffer(raw, np.uint8), count, bits)
    if linear:
        parameters = quantization.message("linearQuantization")
        values = _scaled(steps.reshape(shape), parameters, where, channel_axis)
    else:
        parameters = quantization.message("lookupTableQuantization")
        values = _looked_up(steps, parameters, bits, where)
    refuse_unread(parameters, where)
    refuse_unread(quantization, where)
    return values.reshape(-1)


def _exactly(data: memoryview, length: int, where: str) -> memoryview:
    if len(data) != length:
        raise BundleError(f"{where}: {len(data)} bytes of quantized values, expected {length}")
    return data


def _unpack(raw: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return raw
    stream = np.unpackbits(raw, count=count * bits).reshape(count, bits)
    # Eight bits to a value again, with leading zeros.
    return np.packbits(np.pad(stream, ((0, 0), (8 - bits, 0))), axis=1).reshape(count)


def _scaled(steps: _Steps, parameters: Message, where: str, channel_axis: int) -> Weights:
    scale, bias = parameters.reals("scale"), parameters.reals("bias")
    channels = steps.shape[channel_axis] if steps.ndim else 1
    if scale.size not in (1, channels) or bias.size not in (0, scale.size):
        raise BundleError(
            f"{where}: {scale.size} scales and {bias.size} biases for {channels} channels; "
            "expected one, or one per channel"
        )
    along = [1] * steps.ndim
    along[channel_axis] = scale.size
    with np.errstate(over="ignore", invalid="ignore"):  # Judged below.
        values: Weights = steps.astype(np.float32) * scale.reshape(along)
        if bias.size:
            values += bias.reshape(along)
    if not np.isfinite(values).all():
        raise BundleError(f"{where}: its scales give values that are not finite")
    return values


def _looked_up(steps: _Steps, parameters: Message, bits: int, where: str) -> Weights:
    table = parameters.reals("floatValue")
    if table.size != 1 << bits:
        raise BundleError(f"{where}: a table of {table.size} values, expected {1 << bits}")
    values: Weights = np.asarray(table, np.float32)[steps]
    return values
