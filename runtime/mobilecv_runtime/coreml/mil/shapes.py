"""Lowers the operations of ML Programs that move values without changing them.

Source: the coremltools MIL op reference, `tensor_transformation` and `tensor_operation`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.errors import BundleError

_BEFORE_THE_FIRST: Final = -(2**63) + 1
"""In ONNX, the end of a slice that runs backwards up to and including element 0."""


def reshape(call: Call) -> str:
    """`reshape`: to a shape where 0 stands for a size that is kept and -1 for the rest.

    What a 0 keeps changed with iOS 17; the program's own static result settles it.
    """
    wanted, found = call.integers("shape"), call.result.shape
    fits = len(wanted) == len(found) and all(
        want in (found[axis], 0, -1) for axis, want in enumerate(wanted)
    )
    if not fits or math.prod(found) != math.prod(call.shape("x")):
        raise BundleError(f"{call.operation}: {call.shape('x')} to {wanted} gives {found}")
    return _reshaped(call, call.tensor("x"), found)


def transpose(call: Call) -> str:
    """`transpose`: axis i of the result is axis perm[i] of x."""
    rank = len(call.shape("x"))
    perm = [call.front(axis, rank) for axis in call.integers("perm")]
    if sorted(perm) != list(range(rank)):
        raise BundleError(f"{call.operation}: {perm} is no order of {rank} axes")
    return call.graph.node("Transpose", [call.tensor("x")], perm=perm)


def expand_dims(call: Call) -> str:
    """`expand_dims`: axes of size 1, at places that are counted in the result."""
    count = len(call.integers("axes"))
    axes = call.axes("axes", len(call.shape("x")) + count)
    return call.graph.node("Unsqueeze", [call.tensor("x"), call.graph.integers(axes)])


def squeeze(call: Call) -> str:
    """`squeeze`: drops axes of size 1; named axes of another size stay, as in PyTorch."""
    shape = call.shape("x")
    axes = call.axes("axes", len(shape), range(len(shape)))
    dropped = [axis for axis in axes if shape[axis] == 1]
    return call.graph.node("Squeeze", [call.tensor("x"), call.graph.integers(dropped)])


def slice_by_index(call: Call) -> str:
    """`slice_by_index`: x[begin:end:stride] of each axis, with numpy's negative indices."""
    shape = call.shape("x")
    rank = len(shape)
    begin, end = call.integers("begin"), call.integers("end")
    stride = call.integers("stride", [1] * rank)
    if not len(begin) == len(end) == len(stride) == rank or 0 in stride:
        raise BundleError(f"{call.operation}: its parameters do not fit the rank {rank}")
    open_begin, open_end = call.flags("begin_mask", rank), call.flags("end_mask", rank)
    single = call.flags("squeeze_mask", rank)
    ranges = []
    for axis, size in enumerate(shape):
        first = None if open_begin[axis] else begin[axis]
        if single[axis]:
            first = call.front(first or 0, size)
            ranges.append(range(first, first + 1))
            continue
        last = None if open_end[axis] else end[axis]
        ranges.append(range(*slice(first, last, stride[axis]).indices(size)))
    sliced = _sliced(call, ranges)
    dropped = [axis for axis in range(rank) if single[axis]]
    if not dropped:
        return sliced
    return call.graph.node("Squeeze", [sliced, call.graph.integers(dropped)])


def slice_by_size(call: Call) -> str:
    """`slice_by_size`: a number of elements from begin on; -1 is all the rest."""
    shape, begin, sizes = call.shape("x"), call.integers("begin"), call.integers("size")
    if not len(begin) == len(sizes) == len(shape):
        raise BundleError(f"{call.operation}: its parameters do not fit the rank {len(shape)}")
    ranges = []
    for axis, size in enumerate(shape):
        first = call.front(begin[axis], size)
        count = size - first if sizes[axis] == -1 else sizes[axis]
        if not 0 < count <= size - first:
            raise BundleError(f"{call.operation}: {count} elements from {first} on, of {size}")
        ranges.append(range(first, first + count))
    return _sliced(call, ranges)


def _sliced(call: Call, ranges: Sequence[range]) -> str:
    starts = [places.start for places in ranges]
    stops = [places.stop if places.stop >= 0 else _BEFORE_THE_FIRST for places in ranges]
    steps = [places.step for places in ranges]
    vectors = (starts, stops, list(range(len(ranges))), steps)
    return call.graph.node("Slice", [call.tensor("x"), *map(call.graph.integers, vectors)])


def concat(call: Call) -> str:
    """`concat`: along an axis; interleaved, the inputs take turns element by element."""
    values = call.values("values")
    shape, graph = values[0].type.shape, call.graph
    axis = call.axis("axis", len(shape))
    if not call.flag("interleave", default=False):
        return graph.node("Concat", call.tensors("values"), axis=axis)
    if any(value.type.shape != shape for value in values):
        raise BundleError(f"{call.operation}: it interleaves inputs of different shapes")
    apart = graph.integers([axis + 1])
    parts = [graph.node("Unsqueeze", [tensor, apart]) for tensor in call.tensors("values")]
    joined = graph.node("Concat", parts, axis=axis + 1)
    sizes = [*shape[:axis], shape[axis] * len(values), *shape[axis + 1 :]]
    return _reshaped(call, joined, sizes)


def stack(call: Call) -> str:
    """`stack`: along a new axis."""
    rank = len(call.values("values")[0].type.shape)
    axis, graph = call.axis("axis", rank + 1), call.graph
    place = graph.integers([axis])
    parts = [graph.node("Unsqueeze", [tensor, place]) for tensor in call.tensors("values")]
    return graph.node("Concat", parts, axis=axis)


def split(call: Call) -> list[str]:
    """`split`: along an axis, into parts of given sizes or of equal size."""
    shape, count = call.shape("x"), len(call.results)
    axis = call.axis("axis", len(shape))
    if call.has("num_splits") and call.integer("num_splits") != count:
        raise BundleError(f"{call.operation}: num_splits is not the number of its {count} results")
    sizes = call.integers("split_sizes", [shape[axis] // count] * count)
    if len(sizes) != count or sum(sizes) != shape[axis] or min(sizes) < 0:
        raise BundleError(f"{call.operation}: {shape[axis]} elements do not split into {sizes}")
    inputs = [call.tensor("x"), call.graph.integers(sizes)]
    return call.graph.nodes("Split", inputs, count, axis=axis)


def tile(call: Call) -> str:
    """`tile`: x, repeated along each axis."""
    return call.graph.node("Tile", [call.tensor("x"), call.graph.integers(call.integers("reps"))])


def pad(call: Call) -> str:
    """`pad`: around the last axes; `pad` holds (before, after) of each of them."""
    call.require_float("x")
    pairs, rank = call.integers("pad"), len(call.shape("x"))
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    mode = call.choice("mode", list(modes), "constant")
    if len(pairs) % 2 or len(pairs) > 2 * rank or min(pairs, default=0) < 0:
        raise BundleError(f"{call.operation}: the pad {pairs} does not fit the rank {rank}")
    untouched = [0] * (rank - len(pairs) // 2)
    places = call.graph.integers([*untouched, *pairs[0::2], *untouched, *pairs[1::2]])
    # "Ignored if mode != constant."
    filler = call.constant(np.asarray(call.real("constant_val", 0.0), np.float32))
    inputs = [call.tensor("x"), places, *([filler] if mode == "constant" else [])]
    return call.graph.node("Pad", inputs, mode=modes[mode])


def reverse(call: Call) -> str:
    """`reverse`: the elements of some axes, by default of all, in the opposite order."""
    shape = call.shape("x")
    axes = call.axes("axes", len(shape), range(len(shape)))
    return _sliced(
        call,
        [
            range(size - 1, -1, -1) if axis in axes else range(size)
            for axis, size in enumerate(shape)
        ],
    )


def pixel_shuffle(call: Call) -> str:
    """`pixel_shuffle`: (n, C * f^2, H, W) to (n, C, H * f, W * f), as PyTorch's PixelShuffle."""
    factor = call.integer("upscale_factor")
    return call.graph.node("DepthToSpace", [call.tensor("x")], blocksize=factor, mode="CRD")


def _reshaped(call: Call, tensor: str, shape: Sequence[int]) -> str:
    return call.graph.node("Reshape", [tensor, call.graph.integers(shape)], allowzero=1)


SHAPES: Final[Mapping[str, Lowering]] = {
    "concat": concat,
    "expand_dims": expand_dims,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "reshape": reshape,
    "reverse": reverse,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
