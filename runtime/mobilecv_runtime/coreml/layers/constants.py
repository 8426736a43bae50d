"""Values that a network holds, and tensors made by repetition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor, broadcast


def load_constant(graph: LayerGraph, layer: Layer) -> Tensor:
    """Values of rank 5, of which the file names the last three dimensions.

    Source: message `LoadConstantLayerParams` of NeuralNetwork.proto.
    """
    shape = layer.sizes("shape")
    if len(shape) != 3:
        raise layer.damaged(f"shape {shape}, expected channels, height, width")
    return _loaded(graph, layer, (1, 1, *shape))


def load_constant_nd(graph: LayerGraph, layer: Layer) -> Tensor:
    """Values of any shape. Source: message `LoadConstantNDLayerParams` of NeuralNetwork.proto."""
    shape = layer.sizes("shape")
    if not shape:
        raise layer.damaged("no shape")
    return _loaded(graph, layer, shape)


def _loaded(graph: LayerGraph, layer: Layer, shape: tuple[int, ...]) -> Tensor:
    layer.expect(0)
    return graph.constant(layer.weights("data", shape))


def fill(graph: LayerGraph, layer: Layer) -> Tensor:
    """One value everywhere. Source: message `FillStaticLayerParams` of NeuralNetwork.proto."""
    layer.expect(0)
    shape = layer.sizes("targetShape")
    value = graph.constant(np.full((1,) * len(shape), layer.real("value"), np.float32))
    return graph.apply("Expand", [value, graph.integers(shape)], shape)


def broadcast_to(graph: LayerGraph, layer: Layer) -> Tensor:
    """The input, repeated by numpy's broadcasting.

    Source: message `BroadcastToStaticLayerParams` of NeuralNetwork.proto.
    """
    tensor, shape = layer.input, layer.sizes("targetShape")
    if broadcast(tensor.shape, shape) != shape:
        raise layer.damaged(f"targetShape {shape} for an input of shape {tensor.shape}")
    return graph.apply("Expand", [tensor, graph.integers(shape)], shape)


def tile(graph: LayerGraph, layer: Layer) -> Tensor:
    """The input, repeated along axes. Source: message `TileLayerParams` of NeuralNetwork.proto."""
    tensor, given = layer.input, layer.sizes("reps")
    if not 1 <= len(given) <= tensor.rank:
        raise layer.damaged(f"reps {given} for an input of shape {tensor.shape}")
    return _repeated(graph, tensor, (*(1,) * (tensor.rank - len(given)), *given))


def sequence_repeat(graph: LayerGraph, layer: Layer) -> Tensor:
    """The input, repeated along its sequence axis, -5.

    Source: message `SequenceRepeatLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=5)
    repetitions = [1] * tensor.rank
    repetitions[-5] = layer.count("nRepetitions")
    return _repeated(graph, tensor, repetitions)


def _repeated(
    graph: LayerGraph, tensor: Tensor, repetitions: list[int] | tuple[int, ...]
) -> Tensor:
    shape = [math.prod(pair) for pair in zip(tensor.shape, repetitions, strict=True)]
    return graph.apply("Tile", [tensor, graph.integers(repetitions)], shape)


CONSTANTS: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "loadConstant": load_constant,
    "loadConstantND": load_constant_nd,
    "fillStatic": fill,
    "broadcastToStatic": broadcast_to,
    "tile": tile,
    "sequenceRepeat": sequence_repeat,
}
