"""Parts of tensors: slices, crops, gathered and scattered values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.windows import borders


def slice_axis(graph: LayerGraph, layer: Layer) -> Tensor:
    """A slice of channels, height or width. Source: `SliceLayerParams` of NeuralNetwork.proto."""
    tensor = layer.input
    name = layer.choice("axis", ("CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"))
    behind = {"CHANNEL_AXIS": 3, "HEIGHT_AXIS": 2, "WIDTH_AXIS": 1}[name]
    layer.expect(1, rank=behind)
    parts = [slice(None)] * tensor.rank
    parts[-behind] = slice(
        layer.integer("startIndex"), layer.integer("endIndex"), layer.count("stride")
    )
    return _sliced(graph, tensor, parts)


def slice_static(graph: LayerGraph, layer: Layer) -> Tensor:
    """A slice along all axes.

    A begin or end mask leaves its end of the axis open, as in numpy; a squeeze mask takes the one
    index `beginIds` and drops the axis.

    Source: message `SliceStaticLayerParams` of NeuralNetwork.proto.
    """
    tensor, fields = layer.input, layer.parameters
    begins, ends = fields.integers("beginIds"), fields.integers("endIds")
    strides, rank = fields.integers("strides"), tensor.rank
    open_begins, open_ends, squeezed = (
        fields.integers(name) or [0] * rank for name in ("beginMasks", "endMasks", "squeezeMasks")
    )
    lists = (begins, ends, strides, open_begins, open_ends, squeezed)
    if any(len(values) != rank for values in lists) or 0 in strides:
        raise layer.damaged(f"slice lists {lists} on an input of shape {tensor.shape}")
    parts = []
    for axis in range(rank):
        if squeezed[axis]:
            index = layer.axis(begins[axis], tensor.shape[axis])
            parts.append(slice(index, index + 1, 1))
            continue
        begin = None if open_begins[axis] else begins[axis]
        end = None if open_ends[axis] else ends[axis]
        parts.append(slice(begin, end, strides[axis]))
    result = _sliced(graph, tensor, parts)
    kept = [size for size, dropped in zip(result.shape, squeezed, strict=True) if not dropped]
    return graph.reshape(result, kept or [1])


def reverse(graph: LayerGraph, layer: Layer) -> Tensor:
    """Flip the marked axes. Source: message `ReverseLayerParams` of NeuralNetwork.proto."""
    tensor, marks = layer.input, layer.parameters.integers("reverseDim")
    if len(marks) != tensor.rank:
        raise layer.damaged(f"reverseDim {marks} for an input of shape {tensor.shape}")
    parts = [slice(None, None, -1) if mark else slice(None) for mark in marks]
    return _sliced(graph, tensor, parts)


def crop(graph: LayerGraph, layer: Layer) -> Tensor:
    """Cut borders off, or cut to the height and width of a second input.

    Source: message `CropLayerParams` of NeuralNetwork.proto.
    """
    tensors = layer.expect(2 if len(layer.inputs) == 2 else 1, rank=3)
    tensor = tensors[0]
    height, width = tensor.shape[-2:]
    amounts, offset = layer.message("cropAmounts"), layer.parameters.integers("offset")
    edges = borders(layer, amounts)
    if len(tensors) == 1:
        (top, bottom), (left, right) = edges
        ends = height - bottom, width - right
    else:
        if len(offset) != 2 or min(offset) < 0:
            raise layer.damaged(f"offset {offset}, expected 2 sizes (height, width)")
        top, left = offset
        ends = top + tensors[1].shape[-2], left + tensors[1].shape[-1]
    if not (top < ends[0] <= height and left < ends[1] <= width):
        raise layer.damaged(f"crops beyond its input of shape {tensor.shape}")
    whole = [slice(None)] * (tensor.rank - 2)
    return _sliced(graph, tensor, [*whole, slice(top, ends[0]), slice(left, ends[1])])


def _sliced(graph: LayerGraph, tensor: Tensor, parts: Sequence[slice]) -> Tensor:
    ranges = [range(*part.indices(size)) for part, size in zip(parts, tensor.shape, strict=True)]
    shape = [len(indices) for indices in ranges]
    changed = [axis for axis, size in enumerate(tensor.shape) if ranges[axis] != range(size)]
    if not changed:
        return tensor
    # In ONNX, an end before the first value is a number below -size.
    ends = [r.stop if r.stop >= 0 else -(1 << 31) for r in (ranges[axis] for axis in changed)]
    inputs: list[Tensor | str] = [
        tensor,
        graph.integers([ranges[axis].start for axis in changed]),
        graph.integers(ends),
        graph.integers(changed),
        graph.integers([ranges[axis].step for axis in changed]),
    ]
    return graph.apply("Slice", inputs, shape)


def gather(graph: LayerGraph, layer: Layer) -> Tensor:
    """The values at some indices of an axis. Source: `GatherLayerParams` of NeuralNetwork.proto."""
    data, indices = layer.expect(2)
    axis = layer.axis(layer.integer("axis"), data.rank)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    return graph.apply("Gather", [data, graph.indices(indices)], shape, axis=axis)


_SCATTER_MODES: Final = ("UPDATE", "ADD", "SUB", "MUL", "DIV", "MAX", "MIN")
_REDUCTIONS: Final = {"UPDATE": "none", "ADD": "add", "MUL": "mul", "MAX": "max", "MIN": "min"}


def scatter(graph: LayerGraph, layer: Layer) -> Tensor:
    """The first input, with the values of the third put at the indices of the second.

    Source: message `ScatterLayerParams` of NeuralNetwork.proto.
    """
    data, indices, updates = layer.expect(3)
    axis = layer.axis(layer.integer("axis"), data.rank)
    mode = layer.choice("mode", _SCATTER_MODES)
    if mode not in _REDUCTIONS:
        raise layer.unsupported(f"mode SCATTER_{mode}")
    if updates.shape != (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]):
        raise layer.damaged(f"shapes {data.shape}, {indices.shape}, {updates.shape}")
    front = [axis, *(other for other in range(data.rank) if other != axis)]
    span = range(axis, axis + indices.rank)
    moved = graph.transpose(updates, [*span, *(n for n in range(updates.rank) if n not in span)])
    points = graph.indices(graph.reshape(indices, (*indices.shape, 1)))
    turned = graph.transpose(data, front)
    inputs: list[Tensor | str] = [turned, points, moved]
    result = graph.apply("ScatterND", inputs, turned.shape, reduction=_REDUCTIONS[mode])
    return graph.transpose(result, [front.index(other) for other in range(data.rank)])


SLICING: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "slice": slice_axis,
    "sliceStatic": slice_static,
    "reverse": reverse,
    "crop": crop,
    "gather": gather,
    "scatter": scatter,
}
