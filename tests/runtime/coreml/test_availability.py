"""Which specification version has what, as the comments of coremltools' own files say."""

from __future__ import annotations

from typing import Any

import pytest

from mobilecv_runtime.coreml.availability import Need, network_need, program_need
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA

HALF = {"float16Value": b"\0\0"}
RAW = {"rawValue": b"\0", "quantization": {"numberOfBits": 8}}


def need_of(kind: str, parameters: dict[str, Any], inputs: int = 1, **network: int) -> Need:
    """What a network of a convolution and one more layer needs."""
    from coremltools.proto.NeuralNetwork_pb2 import NeuralNetworkClassifier

    layers = [
        {"name": "first", "input": ["x"], "convolution": {"weights": {"floatValue": [1]}}},
        {"name": "second", "input": ["x"] * inputs, kind: parameters},
    ]
    data = NeuralNetworkClassifier(layers=layers, **network).SerializeToString()
    return network_need(Message(memoryview(data), "NeuralNetworkClassifier", SCHEMA))


@pytest.mark.parametrize(
    ("layer", "version"),
    [
        ("convolution", 1), ("softmax", 1), ("add", 1), ("custom", 2), ("resizeBilinear", 3),
        ("copy", 4), ("softmaxND", 4), ("layerNormalization", 4), ("oneHot", 5), ("clampedReLU", 5),
    ],
)  # fmt: skip
def test_a_layer_came_with_a_version(layer: str, version: int) -> None:
    assert need_of(layer, {}).version == version


@pytest.mark.parametrize(
    ("layer", "parameters", "version"),
    [
        ("innerProduct", {"weights": {"floatValue": [1]}}, 1),
        ("innerProduct", {"bias": HALF}, 2),
        ("batchnorm", {"variance": HALF}, 2),
        ("activation", {"PReLU": {"alpha": HALF}}, 2),
        ("convolution", {"weights": RAW}, 3),
        ("scale", {"scale": RAW, "bias": HALF}, 3),
        ("innerProduct", {"weights": RAW, "int8DynamicQuantize": True}, 5),
        ("batchedMatmul", {"weights": RAW}, 4),
        ("batchedMatmul", {"int8DynamicQuantize": True}, 5),
        ("upsample", {"scalingFactor": [2, 2], "mode": "BILINEAR"}, 1),
        ("upsample", {"linearUpsampleMode": "ALIGN_CORNERS_TRUE"}, 5),
        ("upsample", {"fractionalScalingFactor": [1.5, 1.5]}, 5),
        ("reorganizeData", {"mode": "DEPTH_TO_SPACE"}, 1),
        ("reorganizeData", {"mode": "PIXEL_SHUFFLE"}, 5),
        ("concatND", {"axis": 1}, 4),
        ("concatND", {"interleave": True}, 5),
    ],
)
def test_what_is_inside_of_a_layer_came_with_a_version(
    layer: str, parameters: dict[str, Any], version: int
) -> None:
    assert need_of(layer, parameters).version == version


def test_the_field_is_named() -> None:
    what = need_of("upsample", {"linearUpsampleMode": "ALIGN_CORNERS_FALSE"}).what
    assert what == "linearUpsampleMode in layers of type upsample"


def test_a_convolution_by_an_input_came_with_version_4() -> None:
    assert need_of("convolution", {}, inputs=2).version == 4


@pytest.mark.parametrize("mapping", ["imageInputShapeMapping", "arrayInputShapeMapping"])
def test_exact_ranks_of_inputs_came_with_version_4(mapping: str) -> None:
    assert need_of("convolution", {}, **{mapping: 1}).version == 4
    assert need_of("clampedReLU", {}, **{mapping: 1}).what == "layers of type clampedReLU"


@pytest.mark.parametrize(("opset", "version"), [("CoreML5", 6), ("CoreML7", 8), ("CoreML9", 10)])
def test_an_ml_program_needs_the_version_of_its_operations(opset: str, version: int) -> None:
    assert program_need([opset]).version == version
    assert program_need([]).version == 6
