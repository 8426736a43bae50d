"""Stored and quantized weights, against coremltools' own packing and plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from mobilecv_runtime.coreml.weight_params import read_weights
from mobilecv_runtime.errors import BundleError

VALUES = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)


def message(**fields: Any) -> Message:
    from coremltools.proto.NeuralNetwork_pb2 import WeightParams

    return Message(memoryview(WeightParams(**fields).SerializeToString()), "WeightParams", SCHEMA)


def read(shape: tuple[int, ...] = VALUES.shape, channel_axis: int = 0, **fields: Any) -> Any:
    return read_weights(message(**fields), shape, "weights", channel_axis=channel_axis)


def packed(steps: Any, bits: int) -> bytes:
    """As coremltools packs them."""
    from coremltools.models.neural_network import quantization_utils

    flat = steps.astype(np.uint8).ravel()
    if bits == 8:
        return bytes(flat)
    return bytes(quantization_utils._convert_array_to_nbit_quantized_bytes(flat, bits))


def steps(bits: int) -> Any:
    return np.random.default_rng(bits).integers(0, 1 << bits, VALUES.shape)


def test_float_weights_are_read_as_they_are() -> None:
    np.testing.assert_array_equal(read(floatValue=VALUES.ravel()), VALUES)


def test_half_precision_weights() -> None:
    halves = VALUES.astype(np.float16)
    np.testing.assert_array_equal(read(float16Value=halves.tobytes()), halves)


@pytest.mark.parametrize("bits", range(1, 9))
def test_linear_weights_of_every_width_with_one_scale(bits: int) -> None:
    linear = {"scale": [0.25], "bias": [-1.5]}
    found = read(
        rawValue=packed(steps(bits), bits),
        quantization={"numberOfBits": bits, "linearQuantization": linear},
    )
    np.testing.assert_allclose(found, steps(bits) * 0.25 - 1.5)


@pytest.mark.parametrize(("axis", "channels"), [(0, 4), (1, 3)])
def test_linear_weights_with_a_scale_per_channel(axis: int, channels: int) -> None:
    scale, bias = np.arange(1.0, channels + 1), np.arange(channels) / 4
    found = read(
        rawValue=packed(steps(8), 8),
        quantization={"numberOfBits": 8, "linearQuantization": {"scale": scale, "bias": bias}},
        channel_axis=axis,
    )
    along = [1, 1, 1]
    along[axis] = channels
    np.testing.assert_allclose(found, steps(8) * scale.reshape(along) + bias.reshape(along))


@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_from_a_table_of_every_width(bits: int) -> None:
    table = np.random.default_rng(9).normal(size=1 << bits).astype(np.float32)
    found = read(
        rawValue=packed(steps(bits), bits),
        quantization={"numberOfBits": bits, "lookupTableQuantization": {"floatValue": table}},
    )
    np.testing.assert_array_equal(found, table[steps(bits)])


def test_signed_weights_have_one_scale() -> None:
    signed = np.arange(-12, 12, dtype=np.int8)
    found = read(
        int8RawValue=signed.tobytes(),
        quantization={"numberOfBits": 8, "linearQuantization": {"scale": [0.5]}},
    )
    np.testing.assert_array_equal(found.ravel(), signed * 0.5)


LINEAR = {"numberOfBits": 8, "linearQuantization": {"scale": [1.0]}}
WRONG: dict[str, dict[str, Any]] = {
    "no values": {},
    "floatValue and float16Value": {"floatValue": VALUES.ravel(), "float16Value": b"12"},
    "23 values, expected 24": {"floatValue": VALUES.ravel()[:-1]},
    "no float16 values": {"float16Value": b"123"},
    "23 bytes of quantized values, expected 24": {
        "rawValue": bytes(23),
        "quantization": LINEAR,
    },
    "2 scales and 0 biases for 4 channels": {
        "rawValue": bytes(24),
        "quantization": {"numberOfBits": 8, "linearQuantization": {"scale": [1, 2]}},
    },
    "a table of 3 values, expected 4": {
        "rawValue": bytes(6),
        "quantization": {"numberOfBits": 2, "lookupTableQuantization": {"floatValue": [1, 2, 3]}},
    },
}


@pytest.mark.parametrize("text", WRONG)
def test_weights_that_do_not_add_up_are_refused(text: str) -> None:
    with pytest.raises(BundleError, match=text):
        read(**WRONG[text])


@pytest.mark.parametrize(
    "quantization",
    [
        {"numberOfBits": 9, "linearQuantization": {"scale": [1]}},
        {"numberOfBits": 0, "linearQuantization": {"scale": [1]}},
        {"numberOfBits": 8},
    ],
)
def test_an_unknown_quantization_is_refused(quantization: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="quantized to"):
        read(rawValue=bytes(24), quantization=quantization)


def test_signed_weights_with_a_table_are_refused() -> None:
    table = {"numberOfBits": 8, "lookupTableQuantization": {"floatValue": np.zeros(256)}}
    with pytest.raises(UnsupportedError, match="int8RawValue"):
        read(int8RawValue=bytes(24), quantization=table)


def test_plain_weights_with_a_quantization_are_refused_unless_it_is_empty() -> None:
    with pytest.raises(UnsupportedError, match="numberOfBits, linearQuantization"):
        read(floatValue=VALUES.ravel(), quantization=LINEAR)
    np.testing.assert_array_equal(read(floatValue=VALUES.ravel(), quantization={}), VALUES)


def test_a_claimed_size_is_never_allocated() -> None:
    with pytest.raises(BundleError, match="expected 1099511627776"):
        read(shape=(1 << 20, 1 << 20), floatValue=[1.0])


@pytest.mark.parametrize(("scale", "bias"), [(3e38, 0.0), (1.0, float("inf")), (float("nan"), 0.0)])
def test_weights_that_a_scale_makes_infinite_are_refused(scale: float, bias: float) -> None:
    linear = {"scale": [scale], "bias": [bias]}
    quantization = {"numberOfBits": 8, "linearQuantization": linear}
    with pytest.raises(BundleError, match="not finite"):
        read(rawValue=packed(steps(8), 8), quantization=quantization)
