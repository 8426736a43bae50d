"""Changes of shape that keep every value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor

_ORDERS: Final = ("CHANNEL_FIRST", "CHANNEL_LAST")


def flatten(graph: LayerGraph, layer: Layer) -> Tensor:
    """Channels, height and width as channels alone; the colour runs slowest, or fastest.

    Source: message `FlattenLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    shape = (*tensor.shape[:-3], math.prod(tensor.shape[-3:]), 1, 1)
    if layer.choice("mode", _ORDERS) == "CHANNEL_LAST":
        tensor = _channels_last(graph, tensor)
    return graph.reshape(tensor, shape)


def reshape(graph: LayerGraph, layer: Layer) -> Tensor:
    """New channels, height and width, and with a fourth number in front a new sequence length.

    CHANNEL_LAST reads and writes the values height by height, with the channels running fastest.

    Source: message `ReshapeLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=5)
    target, last = layer.sizes("targetShape"), layer.choice("mode", _ORDERS) == "CHANNEL_LAST"
    if tensor.rank != 5 or len(target) not in (3, 4):
        raise layer.unsupported(f"targetShape {target} for an input of shape {tensor.shape}")
    leading = tensor.shape[:2] if len(target) == 3 else (target[0], 1)
    channels, height, width = target[-3:]
    if not last:
        return graph.reshape(tensor, (*leading, channels, height, width))
    laid_out = graph.reshape(_channels_last(graph, tensor), (*leading, height, width, channels))
    return graph.transpose(laid_out, [0, 1, 4, 2, 3])


def _channels_last(graph: LayerGraph, tensor: Tensor) -> Tensor:
    front = range(tensor.rank - 3)
    return graph.transpose(tensor, [*front, tensor.rank - 2, tensor.rank - 1, tensor.rank - 3])


def permute(graph: LayerGraph, layer: Layer) -> Tensor:
    """Permute sequence, channels, height and width; the batch stays.

    Source: message `PermuteLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=5)
    order = layer.parameters.integers("axis") or [0, 1, 2, 3]
    if tensor.rank != 5 or sorted(order) != [0, 1, 2, 3]:
        raise layer.damaged(f"axis {order} for an input of shape {tensor.shape}")
    positions = (0, 2, 3, 4)
    moved = [positions[axis] for axis in order]
    return graph.transpose(tensor, [moved[0], 1, *moved[1:]])


def transpose(graph: LayerGraph, layer: Layer) -> Tensor:
    """Permute all axes. Source: message `TransposeLayerParams` of NeuralNetwork.proto."""
    tensor = layer.input
    order = layer.axes("axes", tensor.rank)
    if len(order) != tensor.rank:
        raise layer.damaged(f"axes {order} for an input of shape {tensor.shape}")
    return graph.transpose(tensor, order)


def reshape_static(graph: LayerGraph, layer: Layer) -> Tensor:
    """Any new shape; one size may be -1, which is worked out.

    Source: message `ReshapeStaticLayerParams` of NeuralNetwork.proto.
    """
    return _reshaped(graph, layer, layer.parameters.integers("targetShape"))


def reshape_within_rank(graph: LayerGraph, layer: Layer) -> Tensor:
    """A new shape of the same rank; 0 keeps a size, and one may be -1, which is worked out.

    Source: message `RankPreservingReshapeLayerParams` of NeuralNetwork.proto.
    """
    tensor, target = layer.input, layer.parameters.integers("targetShape")
    if len(target) != tensor.rank:
        raise layer.damaged(f"targetShape {target} for an input of shape {tensor.shape}")
    kept = [size or old for size, old in zip(target, tensor.shape, strict=True)]
    return _reshaped(graph, layer, kept)


def _reshaped(graph: LayerGraph, layer: Layer, target: list[int]) -> Tensor:
    tensor = layer.input
    count = math.prod(tensor.shape)
    known = math.prod(size for size in target if size != -1)
    if target.count(-1) > 1 or known < 1 or any(size < -1 for size in target) or not target:
        raise layer.damaged(f"targetShape {target}, expected sizes and at most one -1")
    shape = [count // known if size == -1 else size for size in target]
    return graph.reshape(tensor, shape)


def squeeze(graph: LayerGraph, layer: Layer) -> Tensor:
    """Drop dimensions of 1; at least one dimension stays.

    Source: message `SqueezeLayerParams` of NeuralNetwork.proto.
    """
    tensor = layer.input
    axes = layer.axes("axes", tensor.rank)
    if layer.flag("squeezeAll"):
        axes = [axis for axis, size in enumerate(tensor.shape) if size == 1]
    if any(tensor.shape[axis] != 1 for axis in axes):
        raise layer.damaged(f"axes {axes} of shape {tensor.shape} are not all 1")
    kept = [size for axis, size in enumerate(tensor.shape) if axis not in axes]
    return graph.reshape(tensor, kept or [1])


def expand(graph: LayerGraph, layer: Layer) -> Tensor:
    """Insert dimensions of 1; the axes count in the result.

    Source: message `ExpandDimsLayerParams` of NeuralNetwork.proto.
    """
    tensor = layer.input
    rank = tensor.rank + len(layer.parameters.integers("axes"))
    axes, sizes = layer.axes("axes", rank), iter(tensor.shape)
    return graph.reshape(tensor, [1 if axis in axes else next(sizes) for axis in range(rank)])


def flatten_to_matrix(graph: LayerGraph, layer: Layer) -> Tensor:
    """A matrix: the dimensions before the axis, and those from it on.

    Source: message `FlattenTo2DLayerParams` of NeuralNetwork.proto, whose example splits a vector
    behind its last dimension.
    """
    tensor, value = layer.input, layer.integer("axis")
    axis = tensor.rank if value == tensor.rank else layer.axis(value, tensor.rank)
    return graph.reshape(tensor, (math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])))


def reorganize(graph: LayerGraph, layer: Layer) -> Tensor:
    """Move blocks of pixels into channels, or back.

    Source: message `ReorganizeDataLayerParams` of NeuralNetwork.proto, whose example fixes the
    order of the channels.
    """
    (tensor,) = layer.expect(1, rank=3)
    mode = layer.choice("mode", ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "PIXEL_SHUFFLE"))
    block = layer.count("blockSize")
    images = graph.images(tensor)
    batch, channels, height, width = images.shape
    if mode == "SPACE_TO_DEPTH":
        if height % block or width % block:
            raise layer.damaged(f"blockSize {block} does not divide height {height}, width {width}")
        rows, columns = height // block, width // block
        blocks = graph.reshape(images, (batch, channels, rows, block, columns, block))
        moved = graph.transpose(blocks, [0, 3, 5, 1, 2, 4])
        return graph.like(graph.reshape(moved, (batch, channels * block**2, rows, columns)), tensor)
    if channels % block**2:
        raise layer.damaged(f"the square of blockSize {block} does not divide {channels} channels")
    depth = channels // block**2
    if mode == "DEPTH_TO_SPACE":
        blocks = graph.reshape(images, (batch, block, block, depth, height, width))
        moved = graph.transpose(blocks, [0, 3, 4, 1, 5, 2])
    else:
        blocks = graph.reshape(images, (batch, depth, block, block, height, width))
        moved = graph.transpose(blocks, [0, 1, 4, 2, 5, 3])
    return graph.like(graph.reshape(moved, (batch, depth, height * block, width * block)), tensor)


SHAPES: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "flatten": flatten,
    "reshape": reshape,
    "permute": permute,
    "transpose": transpose,
    "reshapeStatic": reshape_static,
    "rankPreservingReshape": reshape_within_rank,
    "squeeze": squeeze,
    "expandDims": expand,
    "flattenTo2D": flatten_to_matrix,
    "reorganizeData": reorganize,
}
