from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.models.neural_network import NeuralNetworkBuilder, quantization_utils

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.coreml.network_layers import network_census
from mobilecv_runtime.inspection import inspect

SIZE = 8
Build = Callable[[NeuralNetworkBuilder], None]


def convolution(builder: NeuralNetworkBuilder, **options: Any) -> None:
    """From 4 channels to 6, 3x3, padded; two groups unless told otherwise."""
    known = {
        "name": "conv", "kernel_channels": 2, "output_channels": 6, "height": 3, "width": 3,
        "stride_height": 1, "stride_width": 1, "border_mode": "same", "groups": 2,
        "W": np.ones((3, 3, 2, 6), np.float32), "b": np.ones(6, np.float32), "has_bias": True,
        "input_name": "image", "output_name": "scores",
    }  # fmt: skip
    builder.add_convolution(**{**known, **options})


def deconvolution(builder: NeuralNetworkBuilder) -> None:
    weights = np.ones((2, 2, 4, 6), np.float32)
    convolution(
        builder, kernel_channels=4, height=2, width=2, stride_height=2, stride_width=2, groups=1,
        W=weights, is_deconv=True, border_mode="valid",
    )  # fmt: skip


def dense(builder: NeuralNetworkBuilder) -> None:
    builder.add_inner_product(
        "dense", np.ones((5, 4 * SIZE * SIZE), np.float32), None, 4 * SIZE * SIZE, 5,
        has_bias=False, input_name="image", output_name="scores",
    )  # fmt: skip


def product(builder: NeuralNetworkBuilder) -> None:
    """Of the image and its transpose: from both, 4 matrices of 8x8."""
    builder.add_batched_mat_mul("mul", ["image", "image"], "scores", transpose_b=True)


def scaled(builder: NeuralNetworkBuilder) -> None:
    """A constant and what is added to it: nothing that multiplies."""
    builder.add_load_constant_nd("one", "one", np.ones((4, 1, 1), np.float32), (4, 1, 1))
    builder.add_add_broadcastable("add", ["image", "one"], "scores")


def saved(build: Build, folder: Path, bits: int | None = None) -> Path:
    """A network on an image of four channels, that is, on one channel repeated."""
    image = [("pixels", ct.models.datatypes.Array(1, SIZE, SIZE))]
    builder = NeuralNetworkBuilder(image, [("scores", None)], disable_rank5_shape_mapping=True)
    builder.add_concat_nd("four", ["pixels"] * 4, "image", axis=-3)
    build(builder)
    feature = builder.spec.description.input[0]
    feature.type.imageType.width = feature.type.imageType.height = SIZE
    feature.type.imageType.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.GRAYSCALE
    builder.spec.neuralNetwork.imageInputShapeMapping = 1
    spec = builder.spec
    if bits:
        model = ct.models.MLModel(spec, skip_model_load=True)
        spec = quantization_utils.quantize_weights(model, bits).get_spec()
    path = folder / "net.mlmodel"
    ct.models.utils.save_spec(spec, str(path))
    return path


@pytest.mark.parametrize(
    ("build", "multiply_adds", "parameters"),
    [
        (convolution, SIZE * SIZE * 6 * 3 * 3 * 2, 3 * 3 * 2 * 6 + 6),
        (deconvolution, SIZE * SIZE * 4 * 2 * 2 * 6, 2 * 2 * 4 * 6 + 6),
        (dense, 4 * SIZE * SIZE * 5, 4 * SIZE * SIZE * 5),
        (product, 4 * SIZE * SIZE * SIZE, 0),
        (scaled, 0, 4),
    ],
)
def test_every_kind_is_counted(
    build: Build, multiply_adds: int, parameters: int, tmp_path: Path
) -> None:
    census = network_census(saved(build, tmp_path))
    assert (census.multiply_adds, census.parameters) == (multiply_adds, parameters)
    assert not census.uncounted


def test_activations_are_of_float32(tmp_path: Path) -> None:
    census = network_census(saved(convolution, tmp_path))
    # The four channels, and the six that are made of them.
    assert [each.output_bytes for each in census.layers] == [4 * 4 * 64, 4 * 6 * 64]
    assert census.peak_activation_bytes == 4 * (4 + 6) * 64


@pytest.mark.parametrize(
    ("bits", "storage", "kind"),
    [
        (None, "float32", "float32"),
        (16, "float16", "float16 weights"),
        (8, "uint8 per-channel", "uint8 weights"),
        (4, "uint4 per-channel", "uint4 weights"),
    ],
)
def test_weights_are_called_by_how_they_are_stored(
    bits: int | None, storage: str, kind: str, tmp_path: Path
) -> None:
    census = network_census(saved(convolution, tmp_path, bits))
    assert (list(census.weights), census.kind) == ([storage], kind)


def test_what_is_not_understood_is_not_counted(tmp_path: Path) -> None:
    def unknown(builder: NeuralNetworkBuilder) -> None:
        convolution(builder)
        builder.spec.neuralNetwork.layers[-1].custom.className = "Mine"

    path = saved(unknown, tmp_path)
    with pytest.raises(UnsupportedError, match=r"net\.mlmodel: layer 'conv' is of type"):
        network_census(path)
    assert inspect(path).census is None
