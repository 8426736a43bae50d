"""Expands the compressed weights of ML Programs: the operations `constexpr_*`.

They are computed once, when a model is lowered: the runtime of Apple may do so as well.

Source: the coremltools MIL op reference, `constexpr_ops` of iOS 16 and `compression` of iOS 18
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.mil.call import Call, Expansion
from mobilecv_runtime.coreml.mil.values import unpack
from mobilecv_runtime.errors import BundleError

_Array = NDArray[Any]


def affine_dequantize(call: Call) -> _Array:
    """`constexpr_affine_dequantize`: scale * (quantized_data - zero_point), iOS 16."""
    data = call.array("quantized_data")
    axis = call.axis("axis", data.ndim)
    scale = _along(call, "scale", data, axis)
    zero_point = _along(call, "zero_point", data, axis)
    return _shifted_and_scaled(data, scale, zero_point)


def _along(call: Call, parameter: str, data: _Array, axis: int) -> _Array:
    vector = call.array(parameter)
    if vector.ndim == 0:
        return vector
    if vector.shape != (data.shape[axis],):
        raise BundleError(f"{call.operation}: {parameter} {vector.shape} for {data.shape}")
    return vector.reshape([-1 if place == axis else 1 for place in range(data.ndim)])


def _shifted_and_scaled(data: _Array, scale: _Array, offset: _Array | None) -> _Array:
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted -= offset.astype(np.float32)
    shifted *= scale.astype(np.float32)
    return shifted.astype(scale.dtype)


def cast(call: Call) -> _Array:
    """`constexpr_cast`: float16 as float32."""
    if call.dtype("source_val") != "float16":
        raise call.refuse(f"it casts {call.dtype('source_val')}")
    call.choice("output_dtype", ["fp32"])
    return call.array("source_val").astype(np.float32)


def lut_to_dense(call: Call) -> _Array:
    """`constexpr_lut_to_dense`: indices into one table (iOS 16) or one per block (iOS 18)."""
    if call.has("shape"):
        return _packed_lut_to_dense(call)
    vector_axis = _vector_axis(call, call.array("indices").ndim)
    return _looked_up(call, call.array("indices"), call.array("lut"), vector_axis)


def _packed_lut_to_dense(call: Call) -> _Array:
    lut, shape = call.array("lut"), call.integers("shape")
    bits = lut.size.bit_length() - 1
    if lut.ndim != 1 or lut.size not in (2, 4, 16, 64, 256):
        raise BundleError(f"{call.operation}: a table of {lut.shape}")
    indices = unpack(_bytes(call, "indices"), bits, _count(call, shape))
    return np.asarray(lut[indices].reshape(shape))


def _looked_up(call: Call, indices: _Array, lut: _Array, vector_axis: int) -> _Array:
    """Replace each index by its entry: a number, or a vector that is laid along an axis."""
    tables = lut.shape[: indices.ndim]
    blocks = _blocks(call, indices.shape, tables) if lut.ndim == indices.ndim + 2 else None
    if blocks is None or (indices.size and int(indices.max()) >= lut.shape[-2]):
        raise BundleError(f"{call.operation}: tables {lut.shape} for indices {indices.shape}")
    entries = lut[(*blocks, indices)]
    shape = list(indices.shape)
    shape[vector_axis] *= lut.shape[-1]
    return np.moveaxis(entries, -1, vector_axis + 1).reshape(shape)


def _blocks(call: Call, shape: tuple[int, ...], tables: tuple[int, ...]) -> list[_Array]:
    """For each axis, the number of the block in which its elements lie, ready to broadcast."""
    numbers = []
    for axis, (size, count) in enumerate(zip(shape, tables, strict=True)):
        if count < 1 or size % count:
            raise BundleError(f"{call.operation}: {count} blocks along an axis of {size}")
        along = [-1 if place == axis else 1 for place in range(len(shape))]
        numbers.append((np.arange(size) // max(size // count, 1)).reshape(along))
    return numbers


def _vector_axis(call: Call, rank: int) -> int:
    vector_size = call.shape("lut")[-1] if call.shape("lut") else 0
    if call.has("vector_axis"):
        return call.axis("vector_axis", rank)
    if vector_size != 1:
        raise BundleError(f"{call.operation}: vectors of {vector_size} without a vector_axis")
    return rank - 1


def sparse_to_dense(call: Call) -> _Array:
    """`constexpr_sparse_to_dense`: values where the mask is set; packed bits in iOS 16."""
    values = call.array("nonzero_data")
    if call.has("shape"):
        shape = call.integers("shape")
        mask = unpack(_bytes(call, "mask"), 1, _count(call, shape)).reshape(shape)
    else:
        mask = call.array("mask")
    return _spread(call, values, mask)


def _spread(call: Call, values: _Array, mask: _Array) -> _Array:
    places = mask != 0
    if values.ndim != 1 or np.count_nonzero(places) != values.size:
        raise BundleError(f"{call.operation}: {values.shape} values for the places of its mask")
    dense = np.zeros(mask.shape, values.dtype)
    dense[places] = values
    return dense


def blockwise_shift_scale(call: Call) -> _Array:
    """`constexpr_blockwise_shift_scale`: scale * (data - offset), one of each per block, iOS 18."""
    return _dequantized_blocks(call, call.array("data"))


def _dequantized_blocks(call: Call, data: _Array) -> _Array:
    scale = call.array("scale")
    if scale.ndim != data.ndim:
        raise BundleError(f"{call.operation}: scale {scale.shape} for data {data.shape}")
    blocks = tuple(_blocks(call, data.shape, scale.shape))
    offset = None
    if call.has("offset"):
        offset = call.array("offset")
        if offset.shape != scale.shape:
            raise BundleError(f"{call.operation}: offset {offset.shape}, scale {scale.shape}")
        offset = offset[blocks]
    return _shifted_and_scaled(data, scale[blocks], offset)


def lut_to_sparse(call: Call) -> list[_Array]:
    """`constexpr_lut_to_sparse`: entries for the indices at the places of a mask, iOS 18."""
    mask = call.array("indices_mask")
    vector_axis = _vector_axis(call, mask.ndim)
    indices = _spread(call, call.array("indices_nonzero_data"), mask)
    dense = _looked_up(call, indices, call.array("lut"), vector_axis)
    widened = np.repeat(mask, call.shape("lut")[-1], axis=vector_axis)
    return [widened, dense[widened != 0]]


def sparse_blockwise_shift_scale(call: Call) -> list[_Array]:
    """`constexpr_sparse_blockwise_shift_scale`: dequantized values at a mask's places, iOS 18."""
    mask = call.array("data_mask")
    dense = _dequantized_blocks(call, _spread(call, call.array("nonzero_data"), mask))
    return [mask, dense[mask != 0]]


def _bytes(call: Call, parameter: str) -> NDArray[np.uint8]:
    array = call.array(parameter)
    if array.dtype != np.uint8:
        raise BundleError(f"{call.operation}: {parameter} is {array.dtype}, not bytes")
    return array


def _count(call: Call, shape: list[int]) -> int:
    if not shape or min(shape) < 1:
        raise BundleError(f"{call.operation}: the shape {shape}")
    count = 1
    for size in shape:
        count *= size
    return count


COMPRESSED: Final[Mapping[str, Expansion]] = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_cast": cast,
    "constexpr_lut_to_dense": lut_to_dense,
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": sparse_to_dense,
}
