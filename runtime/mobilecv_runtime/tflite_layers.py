"""Counts the layers of a `.tflite` model from its shapes, without running it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from mobilecv_runtime.census import Arithmetic, Census, Layer, peak_bytes
from mobilecv_runtime.errors import BundleError, guest

_WEIGHTS_PLACE: Final = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "BATCH_MATMUL": 1,
    "TRANSPOSE_CONV": 1,
}
"""Operation that is counted -> which of its inputs are the weights."""
_IMAGE_PLACE: Final = {"TRANSPOSE_CONV": 2}
"""Which of its inputs is the image, where that is not the first one."""
_UNCOUNTED: Final = frozenset(
    {
        "CONV_3D", "CONV_3D_TRANSPOSE", "LSTM", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN",
        "WHILE", "IF", "CALL", "STABLEHLO_COMPOSITE",
    }
)  # fmt: skip
_BITS: Final = {
    "float32": 32, "float16": 16, "int4": 4, "int8": 8, "uint8": 8, "bool": 8, "int16": 16,
    "int32": 32, "uint32": 32, "float64": 64, "int64": 64,
}  # fmt: skip
_MIN_RUNTIME: Final = "min_runtime_version"


@dataclass(frozen=True)
class TfliteGraph:
    """The first subgraph of a `.tflite`, with the tables that its numbers point into."""

    model: Any
    """`ModelT` of the generated schema."""
    operators: list[Any]
    tensors: list[Any]
    inputs: Sequence[int]
    outputs: Sequence[int]
    op_names: list[str]
    """One per operator code; a custom operation is called `custom NAME`."""
    types: Mapping[int, str]
    """Number of a data type -> its name, such as `int8`."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse a file; see `parse`."""
        return cls.parse(path.read_bytes(), origin=str(path))

    @classmethod
    def parse(cls, data: bytes, *, origin: str) -> Self:
        """Parse a model.

        Args:
            data: The bytes of a `.tflite`.
            origin: Where they are from, for messages.

        Raises:
            BundleError: If they are damaged, or no TFLite model.
            MissingDependencyError: If ai-edge-litert is not installed.
        """
        schema = guest("ai_edge_litert.schema_py_generated", extra="tflite")
        if data[4:8] != b"TFL3":
            raise BundleError(f"{origin}: not a TFLite model (its identifier is missing)")
        try:
            model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
            graph = model.subgraphs[0]
        # The generated reader raises whatever a wild offset leads to.
        except Exception as error:
            raise BundleError(f"{origin}: damaged ({error!r})") from error
        names = _names(schema.BuiltinOperator)
        return cls(
            model=model,
            operators=graph.operators,
            tensors=graph.tensors,
            inputs=[int(index) for index in graph.inputs],
            outputs=[int(index) for index in graph.outputs],
            op_names=[
                f"custom {text(code.customCode)}"
                if code.customCode
                # Codes above 127 stand in the newer field only.
                else names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
                for code in model.operatorCodes
            ],
            types={number: name.lower() for number, name in _names(schema.TensorType).items()},
        )

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values stand in the file, within the flatbuffer or behind it.

        An input that is left out has the index -1; it is none.
        """
        if index < 0:
            return False
        buffer = self.model.buffers[self.tensors[index].buffer]
        return buffer.data is not None or bool(buffer.offset)

    def type_of(self, index: int) -> str:
        """The data type of a tensor."""
        return self.types[self.tensors[index].type]

    def shape_of(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor; of a scalar empty."""
        shape = self.tensors[index].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def op_name(self, operator: Any) -> str:
        """What an operation is called."""
        return str(self.op_names[operator.opcodeIndex])

    @property
    def custom_operations(self) -> list[str]:
        """Operations that are not built into every runtime; those of TensorFlow start with Flex."""
        return sorted({name.partition(" ")[2] for name in self.op_names if " " in name})

    @property
    def noted_runtime(self) -> str | None:
        """The release of TFLite that the converter noted, such as `1.14.0`; None if it did not."""
        for entry in self.model.metadata or ():
            data = self.model.buffers[entry.buffer].data
            if text(entry.name) == _MIN_RUNTIME and data is not None:
                return bytes(data).rstrip(b"\0").decode() or None
        return None


def tflite_census(graph: TfliteGraph) -> Census:
    """Count every layer of a `.tflite` model."""
    return _Count(graph).census()


def multiply_adds(graph: TfliteGraph, op: Any) -> int:
    """How many products an operation adds up; 0 for those that do not."""
    shapes = [graph.shape_of(int(index)) if index >= 0 else () for index in op.inputs]
    results = math.prod(graph.shape_of(int(op.outputs[0])))
    match graph.op_name(op):
        case "CONV_2D" | "FULLY_CONNECTED":
            return results * math.prod(shapes[1][1:])
        case "DEPTHWISE_CONV_2D":
            return results * math.prod(shapes[1][1:3])
        case "TRANSPOSE_CONV":
            # Weights are (outputs, height, width, inputs); every input pixel meets all of them.
            return math.prod(shapes[2]) * math.prod(shapes[1][:3])
        case "BATCH_MATMUL":
            options = op.builtinOptions
            return results * shapes[0][-2 if options is not None and options.adjX else -1]
        case _:
            return 0


class _Count:
    def __init__(self, graph: TfliteGraph) -> None:
        self._graph = graph
        self._stored = {
            int(op.outputs[0]): int(op.inputs[0])
            for op in graph.operators
            if graph.op_name(op) == "DEQUANTIZE" and graph.is_constant(int(op.inputs[0]))
        }
        """Result of a dequantised constant -> that constant."""
        signatures = [graph.tensors[index].shapeSignature for index in graph.inputs]
        self._shapes_known = not any(
            signature is not None and -1 in list(signature)[1:] for signature in signatures
        )

    def census(self) -> Census:
        graph = self._graph
        operators = [op for op in graph.operators if int(op.outputs[0]) not in self._stored]
        uncounted = Counter(
            graph.op_name(op)
            for op in operators
            if graph.op_name(op) in _UNCOUNTED
            or graph.op_name(op).startswith("custom ")
            or (graph.op_name(op) in _WEIGHTS_PLACE and not self._shapes_known)
        )
        steps = [
            ([str(i) for i in op.inputs if i >= 0], [str(i) for i in op.outputs])
            for op in operators
        ]
        sizes = {
            str(index): self._bytes(index)
            for index in range(len(graph.tensors))
            if not graph.is_constant(index) and index not in self._stored
        }
        return Census(
            layers=tuple(self._layer(op) for op in operators),
            peak_activation_bytes=peak_bytes(steps, sizes, [str(i) for i in graph.outputs]),
            uncounted=dict(uncounted.most_common()),
        )

    def _layer(self, op: Any) -> Layer:
        graph, name = self._graph, self._graph.op_name(op)
        place = _WEIGHTS_PLACE.get(name)
        image = int(op.inputs[_IMAGE_PLACE.get(name, 0)]) if len(op.inputs) else None
        weights = self._stored_as(int(op.inputs[place])) if place is not None else None
        activations = graph.type_of(image) if image is not None else ""
        result = int(op.outputs[0])
        return Layer(
            # The converter joins the names of all operations that it has fused.
            name=text(graph.tensors[result].name).partition(";")[0],
            operation=name,
            arithmetic=self._arithmetic(op, activations),
            weights=self._storage(weights) if weights is not None else "",
            activations=activations,
            multiply_adds=multiply_adds(graph, op) if self._shapes_known else 0,
            parameters=self._parameters(op),
            output_bytes=sum(self._bytes(int(index)) for index in op.outputs),
        )

    def _arithmetic(self, op: Any, activations: str) -> Arithmetic:
        graph = self._graph
        place = _WEIGHTS_PLACE.get(graph.op_name(op))
        if place is None:
            activations = graph.type_of(int(op.outputs[0]))
        elif activations == "float32" and graph.type_of(int(op.inputs[place])) in ("int8", "int4"):
            return "dynamic"
        match activations:
            case "float16" | "float32":
                return activations
            case _:
                return "integer"

    def _parameters(self, op: Any) -> int:
        """Constants that are computed with; shapes and axes are integers without a scale."""
        graph = self._graph
        stored = [self._stored.get(int(i), int(i)) for i in op.inputs if i >= 0]
        return sum(
            math.prod(graph.shape_of(index))
            for index in stored
            if graph.is_constant(index)
            and (graph.type_of(index).startswith("float") or _scales(graph.tensors[index]))
        )

    def _stored_as(self, index: int) -> int | None:
        stored = self._stored.get(index, index)
        return stored if self._graph.is_constant(stored) else None

    def _storage(self, index: int) -> str:
        kind, scales = self._graph.type_of(index), _scales(self._graph.tensors[index])
        if not scales:
            return kind
        return f"{kind} per-channel" if scales > 1 else f"{kind} per-tensor"

    def _bytes(self, index: int) -> int:
        bits = _BITS.get(self._graph.type_of(index), 0)
        return (math.prod(self._graph.shape_of(index)) * bits + 7) // 8


def quantisation_of(tensor: Any) -> tuple[float, int] | None:
    """Scale and zero point of a tensor, those of its first channel; None if it has none."""
    if not _scales(tensor):
        return None
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def _scales(tensor: Any) -> int:
    """How many scales a tensor has."""
    quantization = tensor.quantization
    return 0 if quantization is None or quantization.scale is None else len(quantization.scale)


def _names(numbers: type) -> dict[int, str]:
    return {number: name for name, number in vars(numbers).items() if isinstance(number, int)}


def text(value: bytes | str | None) -> str:
    """A name in a flatbuffer, which is absent, bytes or words."""
    return value.decode() if isinstance(value, bytes) else value or ""
