from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from mobilecv.quantisation import moments
from mobilecv.quantisation.network_ranges import network_ranges
from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.networks.onnx import OnnxNetwork
from mobilecv.quantisation.networks.tflite import TfliteNetwork
from mobilecv.quantisation.plain import plain_int8
from mobilecv.quantisation.ranges import USUAL_RULE
from mobilecv.quantisation.rescue.measuring import scores_of
from mobilecv.quantisation.rounding import round_rows, rounded_constants
from mobilecv.quantisation.weight_steps import channel_steps
from mobilecv.targets.tflite_metadata import without_files
from mobilecv.tflite_packing import unpack
from mobilecv_runtime.onnx_layers import onnx_census
from mobilecv_runtime.tflite_layers import TfliteGraph
from tests_shared import run_cli

# LiteRT says so whenever tensors are looked into, which is what measuring is.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")

PHOTOS = np.random.default_rng(0).integers(0, 256, (24, 21, 18, 3), np.uint8)
FORMATS = ("tflite", "onnx")


@pytest.fixture(scope="module")
def bundle(make_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with convolutions of every kind, in float."""
    folder = tmp_path_factory.mktemp("windows")
    model = make_model("windows")
    done = run_cli("export", model, "--to", "tflite,onnx", "-o", folder / "made", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "made"


def network_of(format_: str, bundle: Path) -> TfliteNetwork | OnnxNetwork:
    (path,) = bundle.glob(f"*.{format_}")
    if format_ == "tflite":
        return TfliteNetwork(without_files(path.read_bytes()))
    return OnnxNetwork.of(path)


@pytest.mark.parametrize("format_", FORMATS)
def test_patches_times_weights_are_what_the_network_itself_computes(
    format_: str, bundle: Path
) -> None:
    network = network_of(format_, bundle)
    layers = [layer for layer in network.layers if layer.weights]
    assert len(layers) == 6
    tensors = {name for layer in layers for name in (layer.name, layer.inputs[0])}
    (held,) = network.activations(PHOTOS[:1], tensors)
    for layer in layers:
        weights = layer.weights
        assert weights is not None
        read = moments.patches(held[layer.inputs[0]], weights, 10**9, np.random.default_rng(0))
        sums = read @ weights.rows(network.constant(weights.slot)).transpose(0, 2, 1)
        found = sums.transpose(1, 0, 2).reshape(read.shape[1], -1)
        if weights.bias is not None:
            found = found + network.constant(weights.bias)
        given = held[layer.name].reshape(found.shape)
        # A ReLU is fused in `.tflite`.
        np.testing.assert_allclose(np.maximum(found, 0), np.maximum(given, 0), atol=2e-5)
        values = network.constant(weights.slot)
        assert (weights.from_rows(weights.rows(values), values.shape) == values).all()


@pytest.mark.parametrize("format_", FORMATS)
def test_the_file_stores_the_very_weights_that_were_worked_out(format_: str, bundle: Path) -> None:
    network = network_of(format_, bundle)
    rounded = rounded_constants(network, PHOTOS)
    stored = (_in_tflite if format_ == "tflite" else _in_onnx)(plain_int8(network, PHOTOS).model)
    layers = [layer for layer in network.layers if layer.weights]
    assert len(stored) == len(layers) == len(rounded)
    for layer, found in zip(layers, stored, strict=True):
        assert layer.weights is not None
        wanted = rounded[layer.name][layer.weights.slot]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def _in_tflite(model: bytes) -> list[NDArray[Any]]:
    unpacked = unpack(model)
    graph = TfliteGraph.parse(model, origin="the file")
    found = []
    for op in graph.operators:
        if graph.op_name(op) in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            tensor = graph.tensors[op.inputs[1]]
            data = bytes(unpacked.buffers[tensor.buffer].data)
            levels = np.frombuffer(data, np.int8).reshape(graph.shape_of(op.inputs[1]))
            scales = np.array(tensor.quantization.scale)
            shape = [1] * levels.ndim
            shape[tensor.quantization.quantizedDimension] = len(scales)
            found.append(levels * scales.reshape(shape))
    return found


def _in_onnx(model: bytes) -> list[NDArray[Any]]:
    graph = onnx.load_from_string(model).graph
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    found = []
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            maker = makers[node.input[1]]
            levels, scales, zeros = (values[name] for name in maker.input)
            assert levels.dtype == np.uint8
            assert (zeros == 128).all()
            axis = next((each.i for each in maker.attribute if each.name == "axis"), 1)
            shape = [1] * levels.ndim
            if scales.ndim:
                shape[axis] = -1
            found.append((levels.astype(np.int16) - 128) * scales.reshape(shape))
    return found


def test_a_channel_on_a_grid_gets_its_step() -> None:
    random = np.random.default_rng(0)
    levels = random.integers(-100, 101, (1, 3, 40))
    levels[0, :, 0] = [100, 40, 127]  # The largest of each.
    levels[0, 1] = np.clip(levels[0, 1], -40, 40)
    levels[0, 2, 1] = 1
    rows = (levels * np.array([[[0.03], [0.5], [0.2]]])).astype(np.float32)
    rows = np.concatenate([rows, random.normal(size=(1, 1, 40)).astype(np.float32)], axis=1)
    # The second has steps to spare, and a bias is stored in them.
    wanted = [0.03, 0.5 / 3, 0.2, np.abs(rows[0, 3]).max() / 127]
    np.testing.assert_allclose(channel_steps(rows)[0, :, 0], wanted, rtol=1e-6)
    assert channel_steps(np.zeros((1, 2, 5), np.float32)).shape == (1, 2, 1)
    dense = random.normal(size=(40, 41))
    kept, shift = round_rows(rows, [(dense.T @ dense)[None]], has_bias=True)
    np.testing.assert_allclose(kept[0, :3], rows[0, :3], rtol=1e-6)
    np.testing.assert_allclose(shift[0, :3], 0, atol=1e-4)
    assert np.abs(kept[0, 3] - rows[0, 3]).max() > 1e-3


@pytest.mark.parametrize("format_", FORMATS)
def test_weights_that_lie_on_a_grid_keep_their_levels(format_: str, bundle: Path) -> None:
    network = network_of(format_, bundle)
    layers = [layer for layer in network.layers if layer.weights]
    random = np.random.default_rng(0)
    trained = {
        layer.weights.slot: (0.01 * random.integers(-90, 91, network.constant(slot).shape)).astype(
            np.float32
        )
        for layer in layers
        if layer.weights and (slot := layer.weights.slot)
    }
    made = plain_int8(network.with_constants(trained), PHOTOS).model
    stored = (_in_tflite if format_ == "tflite" else _in_onnx)(made)
    for layer, found in zip(layers, stored, strict=True):
        assert layer.weights is not None
        np.testing.assert_allclose(found, trained[layer.weights.slot], rtol=1e-5, atol=1e-7)


def test_onnx_runtime_computes_int8_without_clipping_sums(tmp_path: Path) -> None:
    # Bright pixels times large weights: two such products do not fit into 16 bits.
    helper, types = onnx.helper, onnx.TensorProto
    kernel = np.full((4, 3, 3, 3), 0.01, np.float32) * np.arange(1, 5)[:, None, None, None]
    constants = {"kernel": kernel.astype(np.float32), "bias": np.zeros(4, np.float32)}
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=types.FLOAT),
        helper.make_node("Transpose", ["values"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "kernel", "bias"], ["sums"], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["sums"], ["means"]),
        helper.make_node("Flatten", ["means"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("scores", types.FLOAT, ["batch", 4])],
        [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    path = tmp_path / "bright.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    photos = np.random.default_rng(0).integers(200, 256, (8, 8, 8, 3), np.uint8)
    network = OnnxNetwork.of(path)
    expected = scores_of(network.to_bytes(), ".onnx", photos).scores
    found = scores_of(plain_int8(network, photos).model, ".onnx", photos).scores
    np.testing.assert_allclose(found, expected, rtol=0.02)


def error(change: NDArray[Any], inputs: NDArray[Any]) -> float:
    """The mean square of what a change of (outputs, inputs) weights does to the outputs."""
    return float(np.mean((inputs @ change.T) ** 2))


def nearest(rows: NDArray[Any]) -> NDArray[Any]:
    steps = np.abs(rows).max(axis=-1, keepdims=True) / 127
    return np.round(rows / steps) * steps


def sample(inputs: int, shared: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Weights (1, 16, inputs), inputs that have much in common, and their moments."""
    random = np.random.default_rng(1)
    values = random.normal(size=(500, inputs)) + shared * random.normal(size=(500, 1))
    rows = random.normal(size=(1, 16, inputs)).astype(np.float32)
    with_one = np.hstack([values, np.ones((500, 1))])
    return rows, values, (with_one.T @ with_one)[None]


def test_inputs_that_move_together_take_back_each_others_rounding() -> None:
    rows, inputs, products = sample(40, shared=4)
    rounded, _ = round_rows(rows, [products], has_bias=False)
    assert error(rounded[0] - rows[0], inputs) < error(nearest(rows)[0] - rows[0], inputs) / 6


def test_the_bias_takes_what_is_left_of_the_mean() -> None:
    rows, inputs, _ = sample(12, shared=0)
    inputs = inputs + 3
    with_one = np.hstack([inputs, np.ones((500, 1))])
    rounded, shift = round_rows(rows, [(with_one.T @ with_one)[None]], has_bias=True)
    left = (inputs @ (rounded[0] - rows[0]).T + shift[0]).mean(axis=0)
    assert np.abs(left).max() < 1e-4


def test_few_inputs_are_rounded_almost_as_well_as_can_be() -> None:
    rows, inputs, products = sample(6, shared=2)
    rounded, _ = round_rows(rows, [products], has_bias=False)
    steps = np.abs(rows).max(axis=2, keepdims=True) / 127
    best = 0.0
    for row, step in zip(rows[0], steps[0, :, 0], strict=True):
        choices = itertools.product(*(np.floor(row / step)[:, None] + [0, 1]))
        best += min(error(np.array(each) * step - row, inputs) for each in choices)
    found = error(rounded[0] - rows[0], inputs) * len(rows[0])
    assert found < 2 * best
    assert found < error(nearest(rows)[0] - rows[0], inputs) * len(rows[0])


@pytest.mark.parametrize("block", [40, 16])
def test_the_largest_weight_keeps_its_place_and_all_lie_on_its_levels(block: int) -> None:
    rows, _, products = sample(40, shared=4)
    kept = [np.r_[start : min(start + block, 40), 40] for start in range(0, 40, block)]
    rounded, _ = round_rows(rows, [products[:, each][:, :, each] for each in kept], has_bias=True)
    largest = np.abs(rows).argmax(axis=2)[:, :, None]
    peaks = np.take_along_axis(rows, largest, 2)
    np.testing.assert_allclose(np.take_along_axis(rounded, largest, 2), peaks, rtol=1e-6)
    levels = rounded / (np.abs(peaks) / 127)
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    np.testing.assert_allclose(nearest(rounded), rounded, rtol=1e-5, atol=1e-7)


def test_dead_inputs_and_dead_outputs_are_rounded_to_the_nearest() -> None:
    rows, _, products = sample(8, shared=1)
    rows[0, 3] = 0
    products[:, 2] = products[:, :, 2] = 0
    rounded, _ = round_rows(rows, [products], has_bias=True)
    np.testing.assert_allclose(rounded[0, :, 2], nearest(rows + 1e-30)[0, :, 2], atol=1e-6)
    assert not rounded[0, 3].any()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_channel_without_weights_keeps_its_bias(format_: str, bundle: Path) -> None:
    """In units of weights of nearly nothing, a bias needs more than the 32 bits that it has."""
    assert_biases_are_kept(network_of(format_, bundle), PHOTOS)


def test_so_does_one_of_a_layer_that_reads_the_image_itself(
    make_model: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ("--preset", "raw", "--to", "tflite", "-o", "made")
    done = run_cli("export", make_model("pooled"), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "made").glob("*.tflite")
    network = TfliteNetwork.of(without_files(path.read_bytes()))
    assert network.layers[0].weights
    assert_biases_are_kept(network, PHOTOS[:, :16, :16])


def assert_biases_are_kept(network: FloatNetwork, photos: NDArray[np.uint8]) -> None:
    layer = next(each for each in network.layers if each.weights and each.weights.window)
    assert layer.weights is not None
    assert layer.weights.bias is not None
    values = network.constant(layer.weights.slot).copy()
    np.moveaxis(values, layer.weights.output_axis, 0)[:4] *= 1e-9
    bias = network.constant(layer.weights.bias).copy()
    bias[:4] = 3
    spoilt = network.with_constants({layer.weights.slot: values, layer.weights.bias: bias})
    expected = scores_of(spoilt.to_bytes(), network.suffix, photos).scores
    without = network.with_constants({layer.weights.slot: values})
    moved = np.abs(scores_of(without.to_bytes(), network.suffix, photos).scores - expected).max()
    found = scores_of(plain_int8(spoilt, photos).model, network.suffix, photos).scores
    assert np.abs(found - expected).max() < 0.1 * moved


@pytest.fixture(scope="module")
def pooled(make_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with an average over parts of the image and one over the whole, in float."""
    folder = tmp_path_factory.mktemp("pooled")
    model = make_model("pooled")
    done = run_cli("export", model, "--to", "tflite,onnx", "-o", folder / "made", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "made"


def test_a_global_average_has_a_scale_of_its_own_in_tflite(pooled: Path) -> None:
    (path,) = pooled.glob("*.tflite")
    plain = without_files(path.read_bytes())
    network = TfliteNetwork.of(plain)
    assert_the_same_answers(network, plain)
    graph = TfliteGraph.parse(plain_int8(network, PHOTOS[:, :16, :16]).model, origin="the file")
    scales = {
        graph.op_name(op): [
            float(graph.tensors[index].quantization.scale[0])
            for index in (op.inputs[0], op.outputs[0])
        ]
        for op in graph.operators
        if graph.op_name(op) in ("AVERAGE_POOL_2D", "MEAN")
    }
    assert scales["AVERAGE_POOL_2D"][0] == scales["AVERAGE_POOL_2D"][1]
    assert scales["MEAN"][1] < scales["MEAN"][0]


def test_a_global_average_has_a_scale_of_its_own_in_onnx(pooled: Path) -> None:
    (path,) = pooled.glob("*.onnx")
    network = OnnxNetwork.of(path)
    assert_the_same_answers(network, path.read_bytes())
    graph = onnx.load_from_string(plain_int8(network, PHOTOS[:, :16, :16]).model).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    scales = {
        node.op_type: [
            float(constants[quantised.input[1]])
            for quantised in (makers[node.input[0]], readers[node.output[0]])
        ]
        for node in graph.node
        if node.op_type in ("AveragePool", "GlobalAveragePool")
    }
    assert scales["AveragePool"][0] == scales["AveragePool"][1]
    assert scales["GlobalAveragePool"][1] < scales["GlobalAveragePool"][0]


def assert_the_same_answers(network: FloatNetwork, plain: bytes) -> None:
    photos = PHOTOS[:, :16, :16]
    np.testing.assert_allclose(
        scores_of(network.to_bytes(), network.suffix, photos).scores,
        scores_of(plain, network.suffix, photos).scores,
        atol=1e-6,
    )


def test_a_layer_with_many_inputs_is_rounded_in_blocks(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of("tflite", bundle)
    whole = _counts(network)
    monkeypatch.setattr(moments, "MOST_INPUTS", 16)
    monkeypatch.setattr(moments, "_MOST_BYTES", 1)  # Every layer in a run of its own.
    parts = _counts(network)
    assert parts.keys() == whole.keys()
    assert any(len(blocks) > 1 for blocks in parts.values())
    assert {name: sum(blocks) for name, blocks in parts.items()} == {
        name: sum(blocks) for name, blocks in whole.items()
    }


def test_what_is_held_of_a_photo_leaves_less_for_the_first_run(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of("onnx", bundle)
    whole = [layer.name for layer, _ in moments.measured(network, PHOTOS)]
    watched: list[int] = []
    observe = network.observe

    def noted(photos: Any, watcher: Any) -> Any:
        watched.append(len(watcher.tensors))
        return observe(photos, watcher)

    monkeypatch.setattr(network, "observe", noted)
    monkeypatch.setattr(moments, "_MOST_BYTES", network.tensor_bytes)
    seen = moments.seen(network, PHOTOS)
    assert [layer.name for layer, _ in seen.moments] == whole
    assert watched == [2]  # What one layer reads, and the answers.
    alone = scores_of(network.to_bytes(), network.suffix, PHOTOS).scores
    np.testing.assert_allclose(seen.answers, alone, rtol=0, atol=1e-6)
    assert len(whole) > 1


def _counts(network: FloatNetwork) -> dict[str, list[int]]:
    """Layer -> the number of inputs in each block."""
    return {
        layer.name: [block.shape[1] - 1 for block in blocks]
        for layer, blocks in moments.measured(network, PHOTOS)
    }


@pytest.mark.parametrize(
    ("inputs", "together"), [(9, 9), (10_000, 1000), (131_072, 512), (10_000_000, 128)]
)
def test_wide_layers_are_looked_at_in_smaller_blocks(inputs: int, together: int) -> None:
    assert moments.block_size(inputs) == together


def _clipping() -> onnx.ModelProto:
    """A convolution that ReLU and then a clip alone read, and one that is read twice."""
    helper, random = onnx.helper, np.random.default_rng(3)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        values = random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        return onnx.numpy_helper.from_array(values.astype(np.float32), name)

    def number(name: str, value: float) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.float32(value), name)

    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w1"], ["first"]),
        helper.make_node("Relu", ["first"], ["relu"]),
        helper.make_node("Clip", ["relu", "low", "high"], ["clipped"]),
        helper.make_node("Conv", ["clipped", "w2"], ["second"]),
        helper.make_node("Relu", ["second"], ["positive"]),
        helper.make_node("Add", ["second", "positive"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    constants = [
        number("scale", 1 / 32), number("low", 0), number("high", 2),
        weights("w1", 8, 3, 3, 3), weights("w2", 8, 8, 3, 3), weights("w3", 4, 8),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "clipping",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 21, 18, 3])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1, 4])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_only_a_clip_reads_is_quantised_like_the_clips_result() -> None:
    network = OnnxNetwork(_clipping())
    observed = network.observe(PHOTOS)
    assert observed.keys() >= {"first", "relu", "clipped", "second", "positive", "logits"}
    for name in ("first", "relu"):
        assert (observed[name].lows, observed[name].highs) == (
            observed["clipped"].lows,
            observed["clipped"].highs,
        )
    assert observed["clipped"].low == 0
    assert observed["clipped"].high == 2
    assert observed["second"].low < 0  # Read twice, so it has a range of its own.
    assert {layer.name for layer in network.layers if layer.is_fused} == {"relu", "clipped"}
    expected = scores_of(network.to_bytes(), ".onnx", PHOTOS).scores
    assert np.ptp(expected, axis=0).max() > 0.05
    ranges = network_ranges(network, USUAL_RULE, observed)
    others = {layer.name for layer in network.layers} - {"first"}
    for in_float in (frozenset(), others):
        file = network.quantised(ranges, in_float)
        assert (onnx_census(onnx.load_from_string(file)).integer_share == 1) == (not in_float)
        found = scores_of(file, ".onnx", PHOTOS).scores
        np.testing.assert_allclose(found, expected, atol=0.02)
