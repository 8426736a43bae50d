"""Which specification version has what, as the comments of coremltools' own files say."""

from __future__ import annotations

import pytest

from mobilecv_runtime.coreml.availability import network_need, program_need


@pytest.mark.parametrize(
    ("layer", "version"),
    [
        ("convolution", 1), ("softmax", 1), ("add", 1), ("custom", 2), ("resizeBilinear", 3),
        ("copy", 4), ("softmaxND", 4), ("layerNormalization", 4), ("oneHot", 5), ("clampedReLU", 5),
    ],
)  # fmt: skip
def test_a_layer_came_with_a_version(layer: str, version: int) -> None:
    assert network_need(["convolution", layer], 0).version == version


def test_an_image_of_rank_4_came_with_version_4() -> None:
    assert network_need(["convolution"], 1).version == 4
    assert network_need(["clampedReLU"], 1).what == "layers of type clampedReLU"


@pytest.mark.parametrize(("opset", "version"), [("CoreML5", 6), ("CoreML7", 8), ("CoreML9", 10)])
def test_an_ml_program_needs_the_version_of_its_operations(opset: str, version: int) -> None:
    assert program_need([opset]).version == version
    assert program_need([]).version == 6
