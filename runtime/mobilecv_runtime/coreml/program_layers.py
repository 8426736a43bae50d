"""Counts the layers of an ML Program from its shapes, without running it.

Weights are called by how they are stored, also where they are expanded to float16 before they
multiply: the arithmetic is that of the type which the program states for a result.

Source: the coremltools MIL op reference
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobilecv_runtime.census import Arithmetic, Census, Layer, peak_bytes
from mobilecv_runtime.coreml.model import open_specification, program_operations
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import DATA_TYPES
from mobilecv_runtime.errors import BundleError

_KERNELS: Final = {"conv": "weight", "conv_transpose": "weight", "linear": "weight", "matmul": "y"}
"""Operation that is counted -> the parameter with its weights."""
_UNCOUNTED: Final = frozenset({"cond", "custom_layer", "einsum", "gru", "lstm", "rnn",
                               "scaled_dot_product_attention", "while_loop"})  # fmt: skip
_EXPANSION: Final = "constexpr_"
_STORED_AS: Final = {"constexpr_affine_dequantize": "quantized_data",
                     "constexpr_blockwise_shift_scale": "data"}  # fmt: skip
"""Operation that expands quantised weights -> the parameter that holds them."""
_FLOATS: Final[Mapping[str, Arithmetic]] = {"float16": "float16", "float32": "float32"}
_BITS: Final = {
    "bool": 8, "float16": 16, "float32": 32, "float64": 64, "int8": 8, "int16": 16, "int32": 32,
    "int64": 64, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    """The type of a value, and how it is stored if it is a constant."""

    dtype: str
    shape: tuple[int, ...] | None
    """None if it is not fixed."""
    storage: str = ""
    """Such as `int8 per-channel`; empty for what is computed."""
    is_true: bool = False
    """Whether it is the constant `true`."""

    @property
    def size(self) -> int:
        return 0 if self.shape is None else math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * _BITS.get(self.dtype, 0) // 8


_NOTHING: Final = _Tensor(dtype="", shape=None)
_Arguments = Mapping[str, Sequence[tuple[str, _Tensor]]]
"""Parameter -> (name, type) of each value that is bound to it; values inside of the operation have
no name."""


def program_census(path: Path) -> Census:
    """Count every layer of an ML Program for one image.

    Args:
        path: An `.mlpackage` folder with an ML Program.

    Raises:
        BundleError: If it is damaged.
    """
    model = open_specification(path)
    try:
        return count_layers(model)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def count_layers(model: Message) -> Census:
    """Count every layer of an ML Program, given as its `Model` message; see `program_census`."""
    program = model.message("mlProgram")
    operations = program_operations(program)
    tensors = dict(_inputs(program))
    layers: list[Layer] = []
    uncounted: Counter[str] = Counter()
    steps: list[tuple[list[str], list[str]]] = []
    for operation in operations:
        kind = operation.text("type")
        results = _results(operation)
        if kind == "const" or kind.startswith(_EXPANSION):
            storage = _storage(kind, operation, results[0][1].dtype)
            for name, result in results:
                tensors[name] = _constant(result, storage, operation)
            continue
        tensors.update(results)
        arguments = _arguments(operation, tensors)
        layer = _layer(kind, arguments, results)
        layers.append(layer)
        if kind in _UNCOUNTED or (kind in _KERNELS and not layer.multiply_adds):
            uncounted[kind] += 1
        reads = [name for values in arguments.values() for name, _ in values if name]
        steps.append((reads, [name for name, _ in results]))
    sizes = {name: each.bytes for name, each in tensors.items() if not each.storage}
    return Census(
        layers=tuple(layers),
        peak_activation_bytes=peak_bytes(steps, sizes, _outputs(program)),
        uncounted=dict(uncounted.most_common()),
    )


def _layer(kind: str, arguments: _Arguments, results: Sequence[tuple[str, _Tensor]]) -> Layer:
    first = next((each for values in arguments.values() for _, each in values), _NOTHING)
    image = _argument(arguments, "x") or first
    weights = _argument(arguments, _KERNELS.get(kind, ""))
    name, result = results[0] if results else ("", _NOTHING)
    return Layer(
        name=name,
        operation=kind,
        # What gives no tensor, such as a label, is as exact as what it looks at.
        arithmetic=_FLOATS.get(result.dtype or image.dtype, "integer"),
        weights=weights.storage if weights is not None else "",
        activations=image.dtype,
        multiply_adds=_multiply_adds(kind, arguments, result),
        parameters=_parameters(arguments),
        output_bytes=sum(each.bytes for _, each in results),
    )


def _multiply_adds(kind: str, arguments: _Arguments, result: _Tensor) -> int:
    """0 for what does not multiply, and where a shape is not known."""
    weights = _argument(arguments, _KERNELS.get(kind, ""))
    image = _argument(arguments, "x")
    if weights is None or image is None or weights.shape is None or image.shape is None:
        return 0
    match kind:
        case "conv":
            return result.size * math.prod(weights.shape[1:])
        case "conv_transpose":
            # Weights are (inputs, outputs per group, *kernel); every input pixel meets all of them.
            return image.size * math.prod(weights.shape[1:])
        case "linear":
            return result.size * weights.shape[-1]
        case _:
            transposed = _argument(arguments, "transpose_x")
            is_swapped = transposed is not None and transposed.is_true and len(image.shape) > 1
            return result.size * image.shape[-2 if is_swapped else -1]


def _parameters(arguments: _Arguments) -> int:
    """Constants that are computed with: no shapes and axes, and no settings such as an epsilon."""
    return sum(
        each.size
        for parameter, values in arguments.items()
        for _, each in values
        if each.storage and each.dtype in _FLOATS and (each.shape or parameter in ("x", "y"))
    )


def _argument(arguments: _Arguments, parameter: str) -> _Tensor | None:
    values = arguments.get(parameter, ())
    return values[0][1] if values else None


def _arguments(operation: Message, tensors: Mapping[str, _Tensor]) -> _Arguments:
    found: dict[str, list[tuple[str, _Tensor]]] = {}
    for parameter, argument in operation.entries("inputs"):
        values = found.setdefault(parameter, [])
        for binding in argument.messages("arguments"):
            if binding.has("value"):
                value = binding.message("value")
                tensor = _type(value.message("type"))
                values.append(("", _as_constant(tensor, tensor.dtype, value)))
            else:
                name = binding.text("name")
                values.append((name, tensors.get(name, _NOTHING)))
    return found


def _constant(result: _Tensor, storage: str, operation: Message) -> _Tensor:
    values = dict(operation.entries("attributes"))
    return _as_constant(result, storage, values.get("val"))


def _as_constant(tensor: _Tensor, storage: str, value: Message | None) -> _Tensor:
    is_true = False
    if value is not None and tensor.dtype == "bool" and tensor.shape == ():
        held = value.message("immediateValue").message("tensor").message("bools")
        is_true = any(held.integers("values"))
    return _Tensor(
        dtype=tensor.dtype, shape=tensor.shape, storage=storage or "unknown", is_true=is_true
    )


def _storage(kind: str, operation: Message, dtype: str) -> str:
    """How the constant that an operation gives is stored."""
    if kind == "const":
        return dtype
    held = _held(operation)
    if kind not in _STORED_AS:
        return kind.removeprefix(_EXPANSION).replace("_", " ")
    scale = held.get("scale", _NOTHING).shape or ()
    along = sum(size > 1 for size in scale)
    return f"{held.get(_STORED_AS[kind], _NOTHING).dtype} per-{_GRAINS[min(along, 2)]}"


_GRAINS: Final = ("tensor", "channel", "block")
"""Axes along which there are several scales -> what has one of its own."""


def _held(operation: Message) -> dict[str, _Tensor]:
    """The parameters of an expansion: attributes up to iOS 17, then inputs."""
    held = {name: _type(value.message("type")) for name, value in operation.entries("attributes")}
    for name, argument in operation.entries("inputs"):
        for binding in argument.messages("arguments"):
            if binding.has("value"):
                held[name] = _type(binding.message("value").message("type"))
    return held


def _results(operation: Message) -> list[tuple[str, _Tensor]]:
    return [
        (output.text("name"), _type(output.message("type")))
        for output in operation.messages("outputs")
    ]


def _inputs(program: Message) -> Iterator[tuple[str, _Tensor]]:
    for _, function in program.entries("functions"):
        for each in function.messages("inputs"):
            yield each.text("name"), _type(each.message("type"))


def _outputs(program: Message) -> list[str]:
    return [
        name
        for _, function in program.entries("functions")
        for _, block in function.entries("block_specializations")
        for name in block.texts("outputs")
    ]


def _type(value_type: Message) -> _Tensor:
    """What is no tensor, such as a label or a list, has no type and no size."""
    if not value_type.has("tensorType"):
        return _NOTHING
    tensor = value_type.message("tensorType")
    dimensions = tensor.messages("dimensions")
    is_fixed = all(each.has("constant") for each in dimensions)
    sizes = tuple(each.message("constant").integer("size") for each in dimensions)
    dtype = DATA_TYPES.get(tensor.integer("dataType"), "unknown")
    return _Tensor(dtype=dtype, shape=sizes if is_fixed else None)
