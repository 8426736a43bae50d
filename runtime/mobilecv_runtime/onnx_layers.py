"""Counts the layers of an `.onnx` model from its shapes, without running it.

In a QDQ file every operation is written in float between `DequantizeLinear` and `QuantizeLinear`.
Which of them run in integers is decided by the engine; the rules here are those of ONNX Runtime's
CPU provider (`core/optimizer/qdq_transformer/selectors_actions`), held to its optimised graph by a
test: a convolution needs quantised inputs and a quantised result; a matrix product and a `Gemm`
need quantised inputs, and a result that is quantised or left as it is (ONNX Runtime 1.31).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mobilecv_runtime.census import Arithmetic, Census, Layer, peak_bytes
from mobilecv_runtime.errors import BundleError, guest

_WEIGHTS_PLACE: Final = {
    "Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "ConvInteger": 1, "MatMulInteger": 1,
    "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3,
}  # fmt: skip
"""Operation that is counted -> which of its inputs are the weights; the image is the first."""
_SCALE_PLACE: Final = {"QLinearConv": 4, "QLinearMatMul": 4, "QGemm": 4}
_UNCOUNTED: Final = frozenset(
    {
        "Attention", "DeformConv", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "If",
        "LSTM", "Loop", "MatMulIntegerToFloat", "MatMulNBits", "MultiHeadAttention", "NhwcConv",
        "DynamicQuantizeMatMul", "NhwcFusedConv", "RNN", "Scan",
    }
)  # fmt: skip
_CLAMPS: Final = ("Relu", "Clip")
"""They vanish into the quantisation that follows, which clips anyway."""
_INTEGER_BETWEEN: Final = frozenset(
    {
        "Add", "AveragePool", "Clip", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather",
        "GlobalAveragePool", "LeakyRelu", "MaxPool", "Mul", "Relu", "Reshape", "Resize", "Sigmoid",
        "Slice", "Softmax", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""What runs in integers when it stands between dequantising and quantising."""
_CONSTANT_KEEPERS: Final = frozenset(
    {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Transpose"}
)
"""Operations whose result is a constant if their first input is one."""
_FLOATS: Final[Mapping[str, Arithmetic]] = {"float": "float32", "float16": "float16"}
_BITS: Final = {
    "float": 32, "float16": 16, "double": 64, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8,
    "bool": 8, "int16": 16, "uint16": 16, "int32": 32, "int64": 64,
}  # fmt: skip
_LARGE: Final = 1024
"""Values above which a constant cannot be a shape, an axis or a list of pads."""


def read_onnx(path: Path) -> Any:
    """Parse a file into an `onnx.ModelProto`.

    Raises:
        BundleError: If it is damaged, or no ONNX model.
        MissingDependencyError: If onnx is not installed.
    """
    onnx = guest("onnx", extra="onnx")
    try:
        model = onnx.load(str(path))
    # protobuf's DecodeError is of another module in each of its implementations.
    except Exception as error:
        raise BundleError(f"{path}: not an ONNX model ({error})") from error
    if not model.graph.node:
        raise BundleError(f"{path}: not an ONNX model (it has no graph)")
    return model


def onnx_census(model: Any) -> Census:
    """Count every layer of an ONNX model for one image.

    Args:
        model: An `onnx.ModelProto`; it is left as it is.
    """
    return _Count(model).census()


class _Count:
    def __init__(self, model: Any) -> None:
        self._onnx = guest("onnx", extra="onnx")
        graph = model.graph
        self._initializers = {each.name: each for each in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = [value.name for value in graph.output]
        self._nodes = list(graph.node)
        self._types: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._read_shapes(model)

    def census(self) -> Census:
        nodes = [node for node in self._nodes if not self._is_constant(node.output[0])]
        layers = tuple(self._layer(node) for node in nodes)
        uncounted = Counter(
            node.op_type
            for node, layer in zip(nodes, layers, strict=True)
            if node.op_type in _UNCOUNTED
            or (node.op_type in _WEIGHTS_PLACE and not layer.multiply_adds)
        )
        sizes = {
            name: self._bytes(name)
            for name in self._shapes
            if not self._is_constant(name) and self._is_stored(name)
        }
        steps = [
            ([name for name in node.input if name], [name for name in node.output if name])
            for node in nodes
        ]
        return Census(
            layers=layers,
            peak_activation_bytes=peak_bytes(steps, sizes, self._outputs),
            uncounted=dict(uncounted.most_common()),
        )

    def _layer(self, node: Any) -> Layer:
        place = _WEIGHTS_PLACE.get(node.op_type)
        weights = self._constant(node.input[place]) if place is not None else None
        activations = self._quantised_type(node.input[0]) if node.input else ""
        names = [name for name in node.output if name]
        return Layer(
            name=node.name or names[0],
            operation=node.op_type,
            arithmetic=self._arithmetic(node),
            weights=self._storage(node, weights) if weights is not None else "",
            activations=_readable(activations),
            multiply_adds=self._multiply_adds(node),
            parameters=self._parameters(node),
            output_bytes=sum(self._bytes(name) for name in names if self._is_stored(name)),
        )

    def _arithmetic(self, node: Any) -> Arithmetic:
        kind = _FLOATS.get(self._types.get(node.output[0], "float"), "integer")
        match node.op_type:
            case "QLinearConv" | "QLinearMatMul" | "QGemm":
                return "integer"
            case "ConvInteger" | "MatMulInteger":
                maker = self._makers.get(node.input[0])
                is_dynamic = maker is not None and maker.op_type == "DynamicQuantizeLinear"
                return "dynamic" if is_dynamic else "integer"
            case "MatMul" | "Gemm":
                fits = self._gives_quantised(node) or self._gives_plain_float(node)
                return "integer" if fits and self._reads_quantised(node) else kind
            case _:
                return "integer" if self._is_between(node) else kind

    def _is_between(self, node: Any) -> bool:
        """Whether an operation stands between dequantising and quantising: it needs no float."""
        possible = node.op_type == "Conv" or node.op_type in _INTEGER_BETWEEN
        return possible and self._reads_quantised(node) and self._gives_quantised(node)

    def _reads_quantised(self, node: Any) -> bool:
        """Whether every float input is dequantised just before, or clamps such a result."""
        if node.op_type in _CLAMPS:
            maker = self._makers.get(node.input[0])
            if maker is not None and maker.op_type == "Conv":
                return self._reads_quantised(maker)
        numbers = node.input[:2] if node.op_type in _WEIGHTS_PLACE else node.input
        makers = [
            self._makers.get(name) for name in numbers if name and self._types.get(name) in _FLOATS
        ]
        return bool(makers) and all(
            maker is not None and maker.op_type == "DequantizeLinear" for maker in makers
        )

    def _gives_quantised(self, node: Any) -> bool:
        """Whether every reader quantises the result, behind a clamp if need be."""
        readers = self._readers.get(node.output[0], [])
        return (
            bool(readers)
            and node.output[0] not in self._outputs
            and all(
                reader.op_type == "QuantizeLinear"
                or (reader.op_type in _CLAMPS and self._gives_quantised(reader))
                for reader in readers
            )
        )

    def _gives_plain_float(self, node: Any) -> bool:
        """Whether the result is neither quantised nor clamped, which would be fused in float."""
        readers = self._readers.get(node.output[0], [])
        return not any(each.op_type in (*_CLAMPS, "QuantizeLinear") for each in readers)

    def _is_stored(self, name: str) -> bool:
        """Whether a result is kept in memory: not one that integer kernels only pass on."""
        maker = self._makers.get(name)
        if maker is None:
            return True
        if maker.op_type == "DequantizeLinear":
            readers = self._readers.get(name, [])
            return not readers or any(self._arithmetic(each) != "integer" for each in readers)
        return not self._is_between(maker)

    def _multiply_adds(self, node: Any) -> int:
        """0 for what does not multiply, and where a shape is not known."""
        kind, place = node.op_type, _WEIGHTS_PLACE.get(node.op_type)
        if place is None:
            return 0
        image, weights, result = (
            self._shapes.get(name) for name in (node.input[0], node.input[place], node.output[0])
        )
        if image is None or weights is None or result is None:
            return 0
        match kind:
            case "Conv" | "ConvInteger" | "QLinearConv":
                return math.prod(result) * math.prod(weights[1:])
            case "ConvTranspose":
                # Weights are (inputs, outputs per group, height, width).
                return math.prod(image) * math.prod(weights[1:])
            case "Gemm" | "QGemm":
                transposed = any(each.name == "transA" and each.i for each in node.attribute)
                return math.prod(result) * image[0 if transposed else -1]
            case _:
                return math.prod(result) * image[-1]

    def _parameters(self, node: Any) -> int:
        """Constants that are computed with, and not shapes, axes, scales or zero points."""
        if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            return 0
        names = set(node.input)
        if node.op_type in ("QLinearConv", "QLinearMatMul", "QGemm"):
            names = {node.input[3], *(node.input[8:9] if node.op_type == "QLinearConv" else ())}
        constants = (self._constant(name) for name in names if name)
        return sum(
            math.prod(each.dims)
            for each in constants
            if each is not None and (self._type_of(each) != "int64")
        )

    def _storage(self, node: Any, weights: Any) -> str:
        kind = _readable(self._type_of(weights))
        place = _WEIGHTS_PLACE[node.op_type]
        maker = self._makers.get(node.input[place])
        scale = None
        if maker is not None and maker.op_type == "DequantizeLinear":
            scale = self._constant(maker.input[1])
        elif node.op_type in _SCALE_PLACE:
            scale = self._constant(node.input[_SCALE_PLACE[node.op_type]])
        if scale is None:
            return kind
        return f"{kind} per-{'channel' if math.prod(scale.dims) > 1 else 'tensor'}"

    def _quantised_type(self, name: str) -> str:
        """The type that a value is stored in before it is dequantised."""
        maker = self._makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            return self._types.get(maker.input[0], "")
        return self._types.get(name, "")

    def _constant(self, name: str) -> Any | None:
        """The tensor in the file that a value is made from, if from nothing else."""
        found = self._initializers.get(name)
        if found is not None:
            return found
        maker = self._makers.get(name)
        if maker is None:
            return None
        if maker.op_type == "Constant":
            return next((each.t for each in maker.attribute if each.name == "value"), None)
        return self._constant(maker.input[0]) if maker.op_type in _CONSTANT_KEEPERS else None

    def _is_constant(self, name: str) -> bool:
        maker = self._makers.get(name)
        is_node = maker is not None and maker.op_type == "Constant"
        return is_node or self._constant(name) is not None

    def _type_of(self, tensor: Any) -> str:
        return str(self._onnx.TensorProto.DataType.Name(tensor.data_type)).lower()

    def _bytes(self, name: str) -> int:
        bits = _BITS.get(self._types.get(name, ""), 0)
        return (math.prod(self._shapes[name]) * bits + 7) // 8 if name in self._shapes else 0

    def _read_shapes(self, model: Any) -> None:
        """Infer every shape for a batch of one image."""
        light = self._without_weights(model)
        for value in (*light.graph.input, *light.graph.value_info, *light.graph.output):
            sizes = value.type.tensor_type.shape.dim
            if len(sizes) and sizes[0].dim_param:
                sizes[0].dim_value = 1
        inferred = self._onnx.shape_inference.infer_shapes(light, data_prop=True)
        graph = inferred.graph
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            self._types[value.name] = str(
                self._onnx.TensorProto.DataType.Name(tensor.elem_type)
            ).lower()
            if tensor.HasField("shape") and all(
                each.HasField("dim_value") for each in tensor.shape.dim
            ):
                self._shapes[value.name] = tuple(each.dim_value for each in tensor.shape.dim)
        for name, each in self._initializers.items():
            self._types[name], self._shapes[name] = self._type_of(each), tuple(each.dims)

    def _without_weights(self, model: Any) -> Any:
        """A copy in which large constants are inputs: shapes need none of their values."""
        light = self._onnx.ModelProto()
        light.ir_version = model.ir_version
        light.opset_import.extend(model.opset_import)
        light.functions.extend(model.functions)
        source = model.graph
        light.graph.name = source.name
        for field in ("node", "input", "output", "value_info"):
            getattr(light.graph, field).extend(getattr(source, field))
        known = {value.name for value in source.input}
        for each in source.initializer:
            if math.prod(each.dims) <= _LARGE:
                light.graph.initializer.append(each)
            elif each.name not in known:
                light.graph.input.append(
                    self._onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims)
                )
        return light


def _readable(kind: str) -> str:
    """ONNX calls float32 `float`."""
    return "float32" if kind == "float" else kind
