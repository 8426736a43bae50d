"""Reads the types and the constant values of an ML Program.

Source: `mlmodel/format/MIL.proto`, messages `ValueType`, `Value` and `TensorValue`, of
https://github.com/apple/coremltools
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.blobs import WeightFile
from mobilecv_runtime.coreml.lowering import UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import DATA_TYPES
from mobilecv_runtime.errors import BundleError

_MAX_ELEMENTS: Final = 2**31
_MAX_RANK: Final = 16
_FILE_NAME: Final = re.compile(r"@model_path/weights/([\w.-]+)")

_NUMPY_TYPES: Final = {
    "bool": "?",
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "int8": "i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
}
_PACKED_BITS: Final = {"int4": 4, "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}
"""Types smaller than a byte, which are packed from the least significant bit on."""


@dataclass(frozen=True, kw_only=True)
class TensorType:
    """The type of a tensor, with its static shape."""

    dtype: str
    """A name of `MILSpec.DataType`, such as `float16`."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A tensor whose values are in the file."""

    type: TensorType
    array: NDArray[Any]
    """Elements smaller than a byte are held as int8 or uint8, strings as objects."""


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A tensor that is known when the model runs."""

    type: TensorType
    name: str
    """Its name in the ONNX graph, where float16 is held as float32."""


def tensor_type(value_type: Message, where: str) -> TensorType:
    """The type of a tensor.

    Raises:
        UnsupportedError: If it is no tensor, or of no fixed shape.
    """
    if not value_type.has("tensorType"):
        kind = ", ".join(value_type.present()) or "of no type"
        raise UnsupportedError(f"{where}: mobilecv understands tensors only, this is {kind}")
    tensor = value_type.message("tensorType")
    code = tensor.integer("dataType")
    if code not in DATA_TYPES:
        raise UnsupportedError(f"{where}: mobilecv does not know the data type {code} of MIL.proto")
    dimensions = tensor.messages("dimensions")
    if tensor.integer("rank") != len(dimensions) or len(dimensions) > _MAX_RANK:
        raise BundleError(f"{where}: its rank does not fit its {len(dimensions)} dimensions")
    shape = tuple(_size(dimension, where) for dimension in dimensions)
    if math.prod(shape) > _MAX_ELEMENTS:
        raise BundleError(f"{where}: the shape {shape} is absurd")
    refuse_unread(tensor, where)
    refuse_unread(value_type, where)
    return TensorType(dtype=DATA_TYPES[code], shape=shape)


def _size(dimension: Message, where: str) -> int:
    if dimension.has("unknown") or not dimension.has("constant"):
        raise UnsupportedError(
            f"{where}: a shape that is not fixed; convert the model again with fixed shapes"
        )
    constant = dimension.message("constant")
    size = constant.integer("size")
    refuse_unread(constant, where)
    refuse_unread(dimension, where)
    if not 0 <= size <= _MAX_ELEMENTS:
        raise BundleError(f"{where}: a dimension of {size}")
    return size


class Constants:
    """Reads constants out of a program and its weight files."""

    def __init__(self, weights_folder: Path) -> None:
        """Open nothing yet.

        Args:
            weights_folder: The package's folder `weights`.
        """
        self._folder = weights_folder
        self._files: dict[str, WeightFile] = {}

    def read(self, value: Message, where: str) -> Constant:
        """The constant that a `Value` message holds, or points to.

        Raises:
            BundleError: If the value does not fit its type.
        """
        kind = tensor_type(value.message("type"), where)
        value.text("docString")
        if value.has("blobFileValue"):
            array = self._from_file(value.message("blobFileValue"), kind, where)
        else:
            array = _immediate(value.message("immediateValue"), kind, where)
        refuse_unread(value, where)
        return Constant(type=kind, array=array.reshape(kind.shape))

    def _from_file(self, blob: Message, kind: TensorType, where: str) -> NDArray[Any]:
        name, offset = blob.text("fileName"), blob.integer("offset")
        refuse_unread(blob, where)
        match = _FILE_NAME.fullmatch(name)
        if match is None or match[1] in (".", ".."):
            raise BundleError(f"{where}: its weights are in {name!r}, not in @model_path/weights/")
        if match[1] not in self._files:
            self._files[match[1]] = WeightFile(self._folder / match[1])
        bits = kind.size * _bits(kind.dtype, where)
        return _decode(self._files[match[1]].blob(offset, kind.dtype, bits), kind, where)


def _bits(dtype: str, where: str) -> int:
    if dtype in _PACKED_BITS:
        return _PACKED_BITS[dtype]
    if dtype in _NUMPY_TYPES:
        return np.dtype(_NUMPY_TYPES[dtype]).itemsize * 8
    raise UnsupportedError(f"{where}: mobilecv does not read constants of type {dtype}")


def _decode(data: memoryview, kind: TensorType, where: str) -> NDArray[Any]:
    if len(data) * 8 != -(-kind.size * _bits(kind.dtype, where) // 8) * 8:
        raise BundleError(f"{where}: {len(data)} bytes for {kind.size} elements of {kind.dtype}")
    if kind.dtype in _PACKED_BITS:
        unpacked = unpack(np.frombuffer(data, np.uint8), _PACKED_BITS[kind.dtype], kind.size)
        # The sign of int4 is its bit 3: shifted up into int8's sign, and back.
        return (unpacked << 4).view(np.int8) >> 4 if kind.dtype == "int4" else unpacked
    return np.frombuffer(data, _NUMPY_TYPES[kind.dtype])


def unpack(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Unpack unsigned numbers that are packed without gaps, least significant bit first.

    Args:
        data: The bytes.
        bits: Of one number, 1 to 8.
        count: How many numbers.

    Raises:
        BundleError: If the bytes are fewer or more than those numbers need.
    """
    if data.size != -(-count * bits // 8):
        raise BundleError(f"{data.size} bytes for {count} numbers of {bits} bits")
    ones = np.unpackbits(data.reshape(-1), bitorder="little", count=count * bits)
    return np.packbits(ones.reshape(count, bits), axis=1, bitorder="little").reshape(-1)


_Reader = Callable[[Message], Any]
_FIELDS: Final[dict[str, tuple[str, _Reader]]] = {
    "float32": ("floats", lambda values: values.reals("values")),
    "float64": ("doubles", lambda values: values.reals("values")),
    "int16": ("ints", lambda values: values.integers("values")),
    "uint16": ("ints", lambda values: values.integers("values")),
    "int32": ("ints", lambda values: values.integers("values")),
    "int64": ("longInts", lambda values: values.integers("values")),
    "uint64": ("longInts", lambda values: values.integers("values")),
    "bool": ("bools", lambda values: values.integers("values")),
    "string": ("strings", lambda values: values.texts("values")),
}
"""Data type -> the field of `TensorValue` that holds it; all others are written as `bytes`."""


def _immediate(immediate: Message, kind: TensorType, where: str) -> NDArray[Any]:
    tensor = immediate.message("tensor")
    field, read = _FIELDS.get(kind.dtype, ("bytes", None))
    held = tensor.message(field)
    if read is None:
        array = _decode(held.data("values"), kind, where)
    else:
        dtype = np.dtype(object if kind.dtype == "string" else _NUMPY_TYPES[kind.dtype])
        try:
            array = np.asarray(read(held), dtype)
        except (OverflowError, ValueError) as error:
            raise BundleError(f"{where}: a number that is no {kind.dtype}") from error
    for message in (held, tensor, immediate):
        refuse_unread(message, where)
    if array.size != kind.size:
        raise BundleError(f"{where}: {array.size} values for the shape {kind.shape}")
    return array
