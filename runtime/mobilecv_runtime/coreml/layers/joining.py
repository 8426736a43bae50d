"""Several tensors made one, and one made several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor


def concat(graph: LayerGraph, layer: Layer) -> Tensor:
    """Join along the channels, or along the sequence.

    Source: message `ConcatLayerParams` of NeuralNetwork.proto.
    """
    behind = 5 if layer.flag("sequenceConcat") else 3
    tensors = layer.expect(len(layer.inputs) or 1, rank=behind)
    return _joined(graph, layer, tensors, tensors[0].rank - behind)


def concat_nd(graph: LayerGraph, layer: Layer) -> Tensor:
    """Join along any axis, one input after the other or in turns.

    Source: message `ConcatNDLayerParams` of NeuralNetwork.proto.
    """
    tensors = layer.expect(len(layer.inputs) or 1)
    first = tensors[0]
    axis = layer.axis(layer.integer("axis"), first.rank)
    if not layer.flag("interleave"):
        return _joined(graph, layer, tensors, axis)
    stacked = _stacked(graph, layer, axis + 1)
    size = first.shape[axis] * len(tensors)
    return graph.reshape(stacked, (*first.shape[:axis], size, *first.shape[axis + 1 :]))


def stack(graph: LayerGraph, layer: Layer) -> Tensor:
    """Join along a new axis. Source: message `StackLayerParams` of NeuralNetwork.proto."""
    (first, *_) = layer.expect(len(layer.inputs) or 1)
    return _stacked(graph, layer, layer.axis(layer.integer("axis"), first.rank + 1))


def _stacked(graph: LayerGraph, layer: Layer, axis: int) -> Tensor:
    shapes = {tensor.shape for tensor in layer.inputs}
    if len(shapes) != 1:
        raise layer.damaged(f"inputs of shapes {sorted(shapes)}, expected one shape")
    (shape,) = shapes
    slices = [graph.reshape(tensor, (*shape[:axis], 1, *shape[axis:])) for tensor in layer.inputs]
    return _joined(graph, layer, slices, axis)


def _joined(graph: LayerGraph, layer: Layer, tensors: Sequence[Tensor], axis: int) -> Tensor:
    others = {tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}
    if len(others) != 1 or len({tensor.rank for tensor in tensors}) != 1:
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise layer.damaged(f"inputs of shapes {shapes} along axis {axis}")
    shape = list(tensors[0].shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return graph.apply("Concat", tensors, shape, axis=axis)


def split(graph: LayerGraph, layer: Layer) -> list[Tensor]:
    """Cut the channels into equal parts. Source: `SplitLayerParams` of NeuralNetwork.proto."""
    (tensor,) = layer.expect(1, rank=3)
    return _cut(graph, layer, tensor.rank - 3, _equal(layer, layer.count("nOutputs"), -3))


def split_nd(graph: LayerGraph, layer: Layer) -> list[Tensor]:
    """Cut any axis into parts. Source: message `SplitNDLayerParams` of NeuralNetwork.proto."""
    axis = layer.axis(layer.integer("axis"), layer.input.rank)
    number = layer.integer("numSplits")
    sizes = layer.sizes("splitSizes") or _equal(layer, number, axis)
    return _cut(graph, layer, axis, sizes)


def _equal(layer: Layer, parts: int, axis: int) -> Sequence[int]:
    size = layer.input.shape[axis]
    if not 1 <= parts <= size or size % parts:
        raise layer.damaged(f"{size} values in {parts} parts")
    return (size // parts,) * parts


def _cut(graph: LayerGraph, layer: Layer, axis: int, sizes: Sequence[int]) -> list[Tensor]:
    if sum(sizes) != layer.input.shape[axis] or len(sizes) != layer.outputs:
        raise layer.damaged(f"parts {tuple(sizes)} of shape {layer.input.shape} on axis {axis}")
    return graph.split(layer.input, axis, sizes)


JOINING: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor | list[Tensor]]]] = {
    "concat": concat,
    "concatND": concat_nd,
    "stack": stack,
    "split": split,
    "splitND": split_nd,
}
