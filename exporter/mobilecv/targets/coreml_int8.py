"""Stores the kernels of an ML Program in 8 bits; the arithmetic stays float16.

Each kernel becomes a `constexpr_affine_dequantize`, which Core ML has had since iOS 16: int8 levels
from -127 to 127 with a zero point of 0, and one float16 scale per output channel. Core ML expands
it to float16 before or while it computes.

The program is rewritten in place, and not by `coremltools.optimize.coreml.linear_quantize_weights`
(coremltools 9.0), which writes the same operation, but sends the program through every pass of the
converter anew, among them the one that `coreml_passes` keeps out because it changes the numbers;
rounds scales to the nearest float16, so that the largest weights of a faint channel are cut off;
and divides by zero where a channel is empty.

Source: the coremltools MIL op reference, `constexpr_affine_dequantize` of iOS 16
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.availability import OPSETS
from mobilecv_runtime.coreml.blobs import WeightFile
from mobilecv_runtime.coreml.schema import DATA_TYPES
from mobilecv_runtime.errors import ConversionError, guest

SMALLEST: Final = 512
"""Weights from which on a kernel is stored in 8 bits. In a smaller one the scales, the zero points
and the headers of two more arrays take about what the weights save; it stays exact instead."""

_LARGEST_LEVEL: Final = 127
_NO_KERNEL: Final = np.zeros(0, np.float16)
_FEWEST_IN_FILE: Final = 10
"""Elements from which on coremltools puts an array into the weight file."""
_OPSET: Final = "CoreML6"
_STORED: Final = "@model_path/weights/weight.bin"
_WRITERS: Final[Mapping[str, tuple[str, type[np.generic]]]] = {
    "float16": ("write_fp16_data", np.uint16),
    "float32": ("write_float_data", np.float32),
    "int8": ("write_int8_data", np.int8),
    "uint8": ("write_uint8_data", np.uint8),
}
"""Element type -> the method of coremltools' writer, and the numpy type that it takes: all that a
program for iOS 15 or 16 keeps in a weight file."""
_NEW_PARAMETERS: Final[Mapping[str, Mapping[str, np.generic]]] = {
    "gather": {"batch_dims": np.int32(0)},
    "gather_nd": {"batch_dims": np.int32(0)},
    "topk": {"sort": np.bool_(True), "return_indices": np.bool_(True)},  # noqa: FBT003
}
"""What operations got in iOS 16, with the values that leave them what they were."""

_Array: TypeAlias = NDArray[Any]


def to_int8(kernel: NDArray[np.float16], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Round a kernel to levels that are symmetric around 0, with a scale for each channel.

    A scale is the largest magnitude of its channel / 127, rounded up to the next float16: then no
    weight lies beyond the last level, and each is at most half a step from its own.

    Args:
        kernel: Finite weights, of any rank.
        axis: That of the output channels.

    Returns:
        The levels, int8 in the kernel's shape, and the scales, float16, (channels,).
    """
    weights = kernel.astype(np.float32)
    others = tuple(place for place in range(kernel.ndim) if place != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales = (largest / _LARGEST_LEVEL).astype(np.float16)
    too_small = scales.astype(np.float32) * _LARGEST_LEVEL < largest
    scales = np.where(too_small, np.nextafter(scales, np.float16(np.inf)), scales)
    # An empty channel may have any scale but 0, which would divide 0 by 0.
    scales = np.where(largest == 0, np.float16(1), scales)
    levels = np.rint(weights / scales.astype(np.float32))
    return levels.astype(np.int8), scales.reshape(-1)


def quantise_kernels(spec: Any, weights: Path, output: Path) -> None:
    """Store the kernels of an ML Program in 8 bits, and raise the program to iOS 16.

    Small kernels, biases and all other constants are stored as they were. If no kernel has as many
    weights as `SMALLEST`, the largest is stored in 8 bits.

    Args:
        spec: The `Model` message of coremltools; it is changed in place.
        weights: The program's weight file.
        output: The weight file to write.

    Raises:
        ConversionError: If there is no kernel of finite float16 weights.
    """
    function = spec.mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    if any(operation.blocks for operation in operations):
        raise ConversionError("the ML Program has branches or loops, whose weights are left alone")
    file = _Rewritten(weights, output)
    kernels = _kernels(operations, file)
    if not kernels:
        raise ConversionError(
            "no convolution, dense layer or matrix product of this network has finite float16 "
            "weights of its own that 8 bits could hold; use mlpackage"
        )
    least = min(SMALLEST, max(kernel.size for kernel, _ in kernels.values()))
    for operation in operations:
        kernel, axis = kernels.get(operation.outputs[0].name, (_NO_KERNEL, 0))
        if kernel.size >= least:
            _quantise(operation, kernel, axis, file)
            continue
        for value in _stored_values(operation):
            file.copy(value)
    _raise_to_ios16(spec)


def _kernels(operations: Any, file: _Rewritten) -> dict[str, tuple[NDArray[np.float16], int]]:
    """Constant -> its weights and the axis of the output channels, for each that could be int8."""
    axes = _kernel_axes(operations)
    constants = {each.outputs[0].name: each for each in operations if each.type == "const"}
    found = {}
    for name in axes.keys() & constants.keys():
        kernel = file.kernel(constants[name].attributes["val"])
        if kernel is not None:
            found[name] = (kernel, axes[name] % kernel.ndim)
    return found


class _Rewritten:
    """The weight file that is written from another one, array by array."""

    def __init__(self, weights: Path, output: Path) -> None:
        self._old = WeightFile(weights)
        storage = guest("coremltools.libmilstoragepython", extra="coreml")
        self._new = storage._BlobStorageWriter(str(output))
        self._messages = guest("coremltools.converters.mil.backend.mil.helper", extra="coreml")

    def kernel(self, value: Any) -> NDArray[np.float16] | None:
        """The array that a `Value` points to, if 8 bits can hold it."""
        if not value.HasField("blobFileValue") or _dtype(value) != "float16":
            return None
        kernel = self._read(value).view(np.float16).reshape(_shape(value))
        return kernel if kernel.ndim > 1 and np.isfinite(kernel).all() else None

    def copy(self, value: Any) -> None:
        """Take over an array that is stored as it was."""
        value.blobFileValue.offset = self._write(self._read(value), _dtype(value))

    def add(self, array: _Array) -> Any:
        """A `Value` message that holds or points to a new array."""
        if array.size < _FEWEST_IN_FILE:
            return self._messages.create_tensor_value(array)
        dtype = str(array.dtype)
        offset = self._write(array.reshape(-1).view(_WRITERS[dtype][1]), dtype)
        code = next(code for code, name in DATA_TYPES.items() if name == dtype)
        return self._messages.create_file_value_tensor(_STORED, offset, array.shape, code)

    def number(self, number: np.generic) -> Any:
        """A `Value` message that holds a number."""
        return self._messages.create_scalar_value(number)

    def _read(self, value: Any) -> _Array:
        blob, dtype = value.blobFileValue, _dtype(value)
        if blob.fileName != _STORED or dtype not in _WRITERS:
            raise ConversionError(f"weights of type {dtype} in {blob.fileName} cannot be copied")
        taken = np.dtype(_WRITERS[dtype][1])
        bits = int(np.prod(_shape(value))) * taken.itemsize * 8
        return np.frombuffer(self._old.blob(blob.offset, dtype, bits), taken)

    def _write(self, array: _Array, dtype: str) -> int:
        return int(getattr(self._new, _WRITERS[dtype][0])(np.ascontiguousarray(array)))


def _quantise(operation: Any, kernel: NDArray[np.float16], axis: int, file: _Rewritten) -> None:
    """Turn a constant into the operation that expands it from 8 bits; its name stays."""
    levels, scales = to_int8(kernel, axis)
    operation.type = "constexpr_affine_dequantize"
    del operation.attributes["val"]
    for name, value in (
        ("quantized_data", file.add(levels)),
        ("zero_point", file.add(np.zeros(scales.shape, np.int8))),
        ("scale", file.add(scales)),
        ("axis", file.number(np.int32(axis))),
    ):
        operation.attributes[name].CopyFrom(value)


def _kernel_axes(operations: Any) -> dict[str, int]:
    """Constant that is nothing but a kernel -> the axis of its output channels, from either end."""
    true = {
        operation.outputs[0].name
        for operation in operations
        if operation.type == "const"
        and any(operation.attributes["val"].immediateValue.tensor.bools.values)
    }
    uses: dict[str, set[int | None]] = {}
    for operation in operations:
        parameter, axis = _kernel_of(operation, true)
        for name, argument in operation.inputs.items():
            for binding in argument.arguments:
                uses.setdefault(binding.name, set()).add(axis if name == parameter else None)
    return {
        name: axis
        for name, places in uses.items()
        for axis in places
        if axis is not None and len(places) == 1
    }


def _kernel_of(operation: Any, true: Set[str]) -> tuple[str, int | None]:
    """Which parameter of an operation is its kernel, and the axis of the output channels there.

    Args:
        operation: The `Operation` message.
        true: The constants that are true.
    """
    match operation.type:
        case "conv" | "linear":
            return "weight", 0
        case "matmul":
            names = [
                each.name
                for name, argument in operation.inputs.items()
                for each in argument.arguments
                if name == "transpose_y"
            ]
            return "y", -2 if any(name in true for name in names) else -1
        case _:
            return "", None


def _stored_values(operation: Any) -> Iterator[Any]:
    """Every `Value` of an operation that points into the weight file."""
    values = [*operation.attributes.values()]
    for argument in operation.inputs.values():
        values += [each.value for each in argument.arguments if each.HasField("value")]
    yield from (value for value in values if value.HasField("blobFileValue"))


def _raise_to_ios16(spec: Any) -> None:
    """Say that the program's operations are those of iOS 16, which all do what they did in 15."""
    helper = guest("coremltools.converters.mil.backend.mil.helper", extra="coreml")
    function = spec.mlProgram.functions["main"]
    old = function.opset
    if OPSETS[old] < OPSETS[_OPSET]:
        function.block_specializations[_OPSET].CopyFrom(function.block_specializations[old])
        del function.block_specializations[old]
        function.opset = _OPSET
        spec.specificationVersion = OPSETS[_OPSET]
    for operation in function.block_specializations[function.opset].operations:
        for name, value in _NEW_PARAMETERS.get(operation.type, {}).items():
            if name not in operation.inputs:
                binding = operation.inputs[name].arguments.add()
                binding.value.CopyFrom(helper.create_scalar_value(value))


def _dtype(value: Any) -> str:
    return DATA_TYPES.get(value.type.tensorType.dataType, "unknown")


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(each.constant.size for each in value.type.tensorType.dimensions)
