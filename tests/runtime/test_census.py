"""Counts against published figures, and against what ONNX Runtime makes of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobilecv_runtime import Bundle
from mobilecv_runtime.census import Census, Layer, peak_bytes
from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.inspection import inspect
from mobilecv_runtime.onnx_layers import onnx_census
from mobilecv_runtime.precision import precision_faults


class Network:
    """An ONNX graph without values, layer by layer: only shapes are counted."""

    def __init__(self, size: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, size, size])
        self.last, self.channels = "image", 3

    def _weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        # Values play no part, so that the files of these tests stay small.
        self.weights.append(onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *inputs], [name], **attributes))
        self.last = name

    def conv(self, channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> None:
        groups = self.channels if depthwise else 1
        weight = self._weight(channels, self.channels // groups, kernel, kernel)
        bias = self._weight(channels)
        pads = [0, 0, 1, 1] if kernel == 3 and stride == 2 else [kernel // 2] * 4
        self.add("Conv", weight, bias, strides=[stride] * 2, pads=pads, group=groups)
        self.channels = channels

    def dense(self, inputs: int, outputs: int) -> None:
        self.add("Gemm", self._weight(inputs, outputs), self._weight(outputs))

    def census(self) -> Census:
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["n", None])
        graph = helper.make_graph(self.nodes, "g", [self.input], [output], self.weights)
        return onnx_census(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def mobilenet(alpha: float, size: int) -> Census:
    """Howard et al. 2017 (arXiv 1704.04861), table 1."""
    network = Network(size)
    network.conv(int(32 * alpha), 3, 2)
    for channels, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                             *[(512, 1)] * 5, (1024, 2), (1024, 1)]:  # fmt: skip
        network.conv(network.channels, 3, stride, depthwise=True)
        network.conv(int(channels * alpha), 1)
    network.add("GlobalAveragePool")
    network.add("Flatten")
    network.dense(network.channels, 1000)
    return network.census()


@pytest.mark.parametrize(
    ("alpha", "size", "millions"),
    [(1, 224, 569), (0.75, 224, 325), (0.5, 224, 149), (0.25, 224, 41),
     (1, 192, 418), (1, 160, 290), (1, 128, 186)],
)  # fmt: skip
def test_mobilenet_as_published(alpha: float, size: int, millions: int) -> None:
    """Tables 6 and 7 of the paper; it rounds down or up by less than one million."""
    assert mobilenet(alpha, size).multiply_adds / 1e6 == pytest.approx(millions, abs=1)


def test_vgg16_as_published() -> None:
    """Simonyan and Zisserman 2014 (arXiv 1409.1556): 138 M weights; 15.5 G multiply-adds."""
    network = Network(224)
    for channels, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            network.conv(channels, 3)
        network.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    network.add("Flatten")
    for inputs, outputs in [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]:
        network.dense(inputs, outputs)
    census = network.census()
    convolutions = sum(each.multiply_adds for each in census.layers if each.operation == "Conv")
    assert census.parameters == 138_357_544
    assert convolutions / 1e9 == pytest.approx(15.35, abs=0.005)
    assert census.multiply_adds / 1e9 == pytest.approx(15.47, abs=0.005)
    assert census.peak_activation_bytes == 2 * 4 * 64 * 224 * 224


@pytest.mark.parametrize(
    ("file", "kind", "shares", "weights"),
    [
        ("digits.mlmodel", "float32", {"float32": 1}, "float32"),
        ("digits.mlpackage", "float16", {"float16": 1}, "float16"),
        ("digits-int8.mlpackage", "int8 weights", {"float16": 1}, "int8 per-channel, float16"),
        ("digits.tflite", "float32", {"float32": 1}, "float32"),
        ("digits-fp16.tflite", "float16 weights", {"float32": 1}, "float16"),
        ("digits-dynamic.tflite", "dynamic", {"dynamic": 1}, "int8 per-channel"),
        ("digits-int8.tflite", "int8", {"integer": 1}, "int8 per-channel"),
        ("digits.onnx", "float32", {"float32": 1}, "float32"),
        ("digits-fp16.onnx", "float16", {"float16": 1}, "float16"),
        ("digits-int8.onnx", "int8", {"integer": 1}, "uint8 per-channel"),
    ],
)
def test_every_artifact_is_called_what_it_is(
    file: str, kind: str, shares: dict[str, float], weights: str, exported: Path
) -> None:
    census = inspect(exported / file).census
    assert census is not None
    assert (census.kind, census.shares, ", ".join(census.weights)) == (kind, shares, weights)
    assert census.multiply_adds == 764_544
    assert not census.uncounted
    entry = next(e for e in Bundle.open(exported).manifest.artifacts if e.file == file)
    assert entry.census == census.record()


def test_only_the_head_is_left_in_float(exported: Path) -> None:
    found = {suffix: inspect(exported / f"digits-int8{suffix}") for suffix in (".tflite", ".onnx")}
    left = {suffix: each.census.float_operations for suffix, each in found.items() if each.census}
    assert left == {".tflite": {"SOFTMAX": 1}, ".onnx": {"Cast": 1, "Softmax": 1}}


def layer(arithmetic: str, multiply_adds: int, **changes: object) -> Layer:
    known: dict[str, object] = {
        "name": "a", "operation": "CONV_2D", "arithmetic": arithmetic, "activations": "int8",
        "weights": "int8 per-channel", "multiply_adds": multiply_adds, "parameters": 1,
        "output_bytes": 1,
    }  # fmt: skip
    return Layer(**{**known, **changes})


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ([layer("integer", 90), layer("float32", 10)], "int8"),
        ([layer("integer", 89), layer("float32", 11)], "mixed"),
        ([layer("integer", 90, activations="int16")], "int8 with int16 activations"),
        ([layer("integer", 50), layer("dynamic", 50)], "dynamic"),
        ([layer("float32", 10)], "int8 weights"),
        ([layer("float32", 10, weights="float16")], "float16 weights"),
        ([layer("float16", 10, weights="float16")], "float16"),
        ([layer("float32", 10, weights="float32")], "float32"),
        ([layer("float32", 10, weights="")], "float32"),
        ([layer("integer", 0)], "unknown"),
    ],
)
def test_ninety_percent_decide_what_a_file_is_called(layers: list[Layer], kind: str) -> None:
    census = Census(layers=tuple(layers), peak_activation_bytes=0, uncounted={})
    assert census.kind == kind


def test_the_peak_counts_what_is_still_needed() -> None:
    """A shortcut: `a` waits until `c` is there."""
    steps: Sequence[tuple[list[str], list[str]]] = [
        (["image"], ["a"]), (["a"], ["b"]), (["b"], ["c"]), (["a", "c"], ["d"]),
    ]  # fmt: skip
    sizes = {"image": 1, "a": 10, "b": 100, "c": 1000, "d": 1}
    assert peak_bytes(steps, sizes, ["d"]) == 10 + 100 + 1000


def quantised(kind: str, *, closed: bool, clamp: bool) -> onnx.ModelProto:
    """One convolution or matrix product in QDQ form.

    Args:
        kind: `Conv`, `MatMul` or `Gemm`.
        closed: Whether the result is quantised as well.
        clamp: Whether a Relu stands behind it.
    """
    random = np.random.default_rng(0)
    image = [1, 8, 6, 6] if kind == "Conv" else [4, 8]
    shape = (8, 8, 3, 3) if kind == "Conv" else (8, 8)
    values = {
        "scale": np.float32(0.02), "zero": np.uint8(0), "weight_zero": np.int8(0),
        "weight": random.integers(-9, 9, shape).astype(np.int8), "bias_scale": np.float32(4e-4),
        "bias": random.integers(-9, 9, 8).astype(np.int32), "bias_zero": np.int32(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "scale", "weight_zero"], ["w"]),
        helper.make_node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], ["b"]),
        helper.make_node(kind, ["x", "w"] if kind == "MatMul" else ["x", "w", "b"], ["y"]),
    ]
    last = "y"
    if clamp:
        nodes.append(helper.make_node("Relu", [last], ["r"]))
        last = "r"
    if closed:
        nodes.append(helper.make_node("QuantizeLinear", [last, "scale", "zero"], ["yq"]))
        nodes.append(helper.make_node("DequantizeLinear", ["yq", "scale", "zero"], ["yd"]))
        last = "yd"
    nodes.append(helper.make_node("Exp", [last], ["out"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def optimised(model: bytes, folder: Path) -> Counter[str]:
    """The operations of the graph that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


INTEGER_KERNELS = {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"}


@pytest.mark.parametrize("kind", ["Conv", "MatMul", "Gemm"])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("clamp", [True, False])
def test_onnx_runtime_fuses_what_is_counted_as_integer(
    kind: str, closed: bool, clamp: bool, tmp_path: Path
) -> None:
    model = quantised(kind, closed=closed, clamp=clamp)
    kernels = set(optimised(model.SerializeToString(), tmp_path)) & INTEGER_KERNELS
    assert bool(kernels) == (onnx_census(model).integer_share == 1)


def test_onnx_runtime_runs_the_exported_int8_file_in_integers(
    exported: Path, tmp_path: Path
) -> None:
    path = exported / "digits-int8.onnx"
    operations = optimised(path.read_bytes(), tmp_path)
    census = inspect(path).census
    assert census is not None
    assert operations["QLinearConv"] == sum(each.operation == "Conv" for each in census.layers)
    assert operations["Conv"] == operations["FusedConv"] == operations["Gemm"] == 0


def test_a_float_file_under_the_name_of_int8_is_refused(exported: Path) -> None:
    for suffix in (".tflite", ".onnx"):
        faults = precision_faults(exported / f"digits{suffix}", "int8")
        assert "only 0% of its multiply-adds run in integers" in faults[0]
    assert "its image input is float32" in precision_faults(exported / "digits.tflite", "int8")[1]


def spoiled(path: Path, folder: Path, edit: Callable[[Any], None]) -> Path:
    """A `.tflite` with something changed in it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    changed = folder / path.name
    changed.write_bytes(bytes(builder.Output()))
    return changed


@pytest.mark.parametrize(
    ("scale", "zero_point", "right"),
    [(1, 0, True), (1.0019, 0, True), (1.0021, 0, False), (0.78, 0, False), (1, 3, False)],
)
def test_an_int8_file_has_to_take_the_photos_own_bytes(
    scale: float, zero_point: int, right: bool, exported: Path, tmp_path: Path
) -> None:
    def rescale(model: Any) -> None:
        graph = model.subgraphs[0]
        image = graph.tensors[graph.inputs[0]].quantization
        image.scale, image.zeroPoint = np.float32([scale]), np.int64([zero_point])

    faults = precision_faults(spoiled(exported / "digits-int8.tflite", tmp_path, rescale), "int8")
    assert bool(faults) != right
    assert right or f"uint8 with scale {scale:g} and zero point {zero_point} instead" in faults[0]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_operation_of_tensorflow_is_refused(
    precision: str, exported: Path, tmp_path: Path
) -> None:
    def flex(model: Any) -> None:
        code = next(each for each in model.operatorCodes if each.deprecatedBuiltinCode == 25)
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode = b"FlexSoftmax"

    file = "digits.tflite" if precision == "float32" else "digits-int8.tflite"
    changed = spoiled(exported / file, tmp_path, flex)
    assert precision_faults(changed, precision) == (
        "it needs operations that are not built into LiteRT: FlexSoftmax",
    )
    census = inspect(changed).census
    assert census is not None
    assert census.uncounted == {"custom FlexSoftmax": 1}


@pytest.mark.parametrize(
    ("file", "release"),
    [
        ("digits.tflite", "TFLite 1.6"),
        ("digits-fp16.tflite", "TFLite 1.15"),
        ("digits-dynamic.tflite", "TFLite 2.17"),
        ("digits-int8.tflite", "TFLite 1.14"),
    ],
)
def test_the_oldest_runtime_is_that_of_the_data_types(
    file: str, release: str, exported: Path
) -> None:
    """The converter's own note says 1.6.0 in all four."""
    assert inspect(exported / file).minimum_runtime == release
    entry = next(e for e in Bundle.open(exported).manifest.artifacts if e.file == file)
    assert entry.minimum_runtime == release


def test_every_exported_file_keeps_its_precision(exported: Path) -> None:
    bundle = Bundle.open(exported)
    for entry in bundle.manifest.artifacts:
        assert precision_faults(bundle.file(entry), entry.precision) == ()


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_file_with_wrong_bytes_is_refused_in_one_line_if_at_all(
    suffix: str, exported: Path, tmp_path: Path
) -> None:
    whole = (exported / f"digits-int8{suffix}").read_bytes()
    path = tmp_path / f"a{suffix}"
    random = np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(40):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 8)] = random.integers(0, 256, 8)
        path.write_bytes(data.tobytes())
        for look in (inspect, lambda file: precision_faults(file, "int8")):
            try:
                look(path)
            except BundleError as error:
                refused.append(str(error))
    assert refused
    assert all(line.startswith(str(path)) for line in refused)
