"""What a neural network does with an image before its first layer."""

from __future__ import annotations

from typing import Final

import numpy as np

from mobilecv_runtime.coreml.image_input import ImageFeature
from mobilecv_runtime.coreml.layer_schema import LAYER_SCHEMA
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.lowering import UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

_BIASES: Final = {
    "RGB": ("redBias", "greenBias", "blueBias"),
    "BGR": ("blueBias", "greenBias", "redBias"),
    "GRAY": ("grayBias",),
}


def preprocessed(
    graph: LayerGraph, steps: list[Message], image: ImageFeature, pixels: Tensor
) -> Tensor:
    """Apply the scaler or the mean image of the network.

    Source: message `NeuralNetworkPreprocessing` of NeuralNetwork.proto.

    Raises:
        UnsupportedError: If there is more than one step; the specification gives them no order.
    """
    if len(steps) > 1:
        raise UnsupportedError(
            f"input {image.name!r}: {len(steps)} preprocessing steps, expected at most 1; fold the "
            "mean image and the scale into one"
        )
    for step in steps:
        name = step.text("featureName")
        if name not in ("", image.name):
            raise BundleError(f"preprocessing of {name!r}, but the input is {image.name!r}")
        pixels = _applied(graph, step, image, pixels)
        refuse_unread(step, "preprocessing")
    return pixels


def _applied(graph: LayerGraph, step: Message, image: ImageFeature, pixels: Tensor) -> Tensor:
    kind = step.which("scaler", "meanImage")
    if kind == "scaler":
        return _scaled(graph, step.message("scaler"), image, pixels)
    if kind == "meanImage":
        return _centred(graph, step.data("meanImage"), pixels)
    raise UnsupportedError("preprocessing of a type that mobilecv does not know")


def _scaled(graph: LayerGraph, scaler: Message, image: ImageFeature, pixels: Tensor) -> Tensor:
    """Each pixel times channelScale, plus the bias of its colour.

    Source: message `NeuralNetworkImageScaler` of NeuralNetwork.proto.
    """
    scale = scaler.real("channelScale")
    if scale == 0.0:
        raise UnsupportedError(
            "the scaler's channelScale is 0 or missing, so that the network sees no image; set it "
            "(coremltools: ImageType(scale=...))"
        )
    used = _BIASES[image.color_space]
    for field in {bias for biases in _BIASES.values() for bias in biases}.difference(used):
        scaler.real(field)  # The specification uses none for colours that the image lacks.
    biases = np.asarray([scaler.real(field) for field in used], np.float32)
    refuse_unread(scaler, "scaler")
    if scale != 1.0:
        pixels = graph.pointwise("Mul", pixels, graph.number(scale))
    if biases.any():
        pixels = graph.binary("Add", pixels, graph.constant(biases.reshape(-1, 1, 1)))
    return pixels


def _centred(graph: LayerGraph, data: memoryview, pixels: Tensor) -> Tensor:
    """Pixel - mean. Source: message `NeuralNetworkMeanImage` of NeuralNetwork.proto."""
    message = Message(data, "NeuralNetworkMeanImage", LAYER_SCHEMA)
    mean = message.reals("meanImage")
    refuse_unread(message, "meanImage")
    shape = pixels.shape[-3:]
    if mean.size != np.prod(shape):
        raise BundleError(f"meanImage: {mean.size} values for an image of shape {shape}")
    return graph.binary("Sub", pixels, graph.constant(mean.reshape(shape)))
