"""Whole networks: the image that goes in, the labels that come out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilecv_runtime.coreml.layers import Tensor
from mobilecv_runtime.coreml.lowering import Arithmetic, Lowered, UnsupportedError
from mobilecv_runtime.coreml.neural_network import (
    NetworkGraph,
    lower_layer,
    lower_neural_network,
)
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from mobilecv_runtime.errors import BundleError
from neural_network_layers import layer_bytes

GRAY, RGB, BGR = 10, 20, 30


def model(
    *layers: dict[str, Any], space: int = RGB, size: tuple[int, int] = (2, 2), **network: Any
) -> Any:
    """A classifier whose layers are dictionaries, as coremltools' `Model`."""
    from coremltools.proto.Model_pb2 import Model

    image = {"height": size[0], "width": size[1], "colorSpace": space}
    network.setdefault("stringClassLabels", {"vector": ["a", "b", "c"]})
    network.setdefault("imageInputShapeMapping", 1)
    return Model(
        specificationVersion=4,
        description={
            "input": [{"name": "image", "type": {"imageType": image}}],
            "output": [
                {"name": "scores", "type": {"dictionaryType": {"stringKeyType": {}}}},
                {"name": "label", "type": {"stringType": {}}},
            ],
            "predictedFeatureName": "label",
            "predictedProbabilitiesName": "scores",
        },
        neuralNetworkClassifier={"layers": layers, **network},
    )


def layer(kind: str, source: str, result: str, **parameters: Any) -> dict[str, Any]:
    return {"name": f"make_{result}", "input": [source], "output": [result], kind: parameters}


POOL = layer("pooling", "image", "scores", type=1, globalPooling=True, valid={})


def lowered(spec: Any, arithmetic: Arithmetic = "stored") -> Lowered:
    data = memoryview(spec.SerializeToString())
    return lower_neural_network(Message(data, "Model", SCHEMA), arithmetic)


def run(spec: Any, pixels: Any, arithmetic: Arithmetic = "stored") -> Any:
    session = onnxruntime.InferenceSession(
        lowered(spec, arithmetic).onnx, providers=["CPUExecutionProvider"]
    )
    return session.run(["scores"], {"pixels": np.asarray(pixels, np.uint8)[None]})[0]


def pixels(channels: int = 3, size: tuple[int, int] = (2, 2)) -> Any:
    return np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)


SCALER = {"channelScale": 0.5, "redBias": 1, "greenBias": 2, "blueBias": 3, "grayBias": 4}


@pytest.mark.parametrize(
    ("space", "order", "bias"), [(RGB, [0, 1, 2], [1, 2, 3]), (BGR, [2, 1, 0], [3, 2, 1])]
)
def test_each_colour_gets_its_own_bias(space: int, order: list[int], bias: list[int]) -> None:
    spec = model(POOL, space=space, preprocessing=[{"scaler": SCALER}])
    expected = pixels().mean((0, 1))[order] * 0.5 + bias
    np.testing.assert_allclose(run(spec, pixels()), [expected], rtol=1e-6)


def test_a_gray_image_gets_the_gray_bias() -> None:
    labels = {"vector": ["a"]}
    spec = model(POOL, space=GRAY, stringClassLabels=labels, preprocessing=[{"scaler": SCALER}])
    np.testing.assert_allclose(run(spec, pixels(1)), [[pixels(1).mean() * 0.5 + 4]], rtol=1e-6)


def test_a_mean_image_is_subtracted_in_the_order_of_the_channels() -> None:
    mean = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    step = {"featureName": "image", "meanImage": {"meanImage": mean.ravel()}}
    found = run(model(POOL, space=BGR, preprocessing=[step]), pixels())
    expected = (pixels()[..., ::-1].transpose(2, 0, 1) - mean).mean((1, 2))
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_labels_keep_their_order_and_whole_numbers_become_words() -> None:
    assert lowered(model(POOL)).labels == ("a", "b", "c")
    numbered = model(POOL)
    numbered.neuralNetworkClassifier.ClearField("stringClassLabels")
    numbered.neuralNetworkClassifier.int64ClassLabels.vector.extend([7, -1, 0])
    assert lowered(numbered).labels == ("7", "-1", "0")


def test_the_scores_are_the_stated_value_or_the_named_output_or_the_last() -> None:
    twice = layer("activation", "scores", "twice", linear={"alpha": 2})
    once = run(model(POOL), pixels())
    stated = model(POOL, twice, labelProbabilityLayerName="twice")
    np.testing.assert_allclose(run(stated, pixels()), 2 * once)
    np.testing.assert_allclose(run(model(POOL, twice), pixels()), once)
    unnamed = model(POOL, twice)
    unnamed.description.predictedProbabilitiesName = "dictionary"
    np.testing.assert_allclose(run(unnamed, pixels()), 2 * once)


def test_a_device_estimate_rounds_after_every_layer() -> None:
    halved = layer("activation", "scores", "halved", linear={"alpha": 1 / 3})
    spec = model(POOL, halved, labelProbabilityLayerName="halved")
    mean = pixels().mean((0, 1)).astype(np.float16).astype(np.float32)
    expected = (mean * np.float32(1 / 3)).astype(np.float16)
    np.testing.assert_array_equal(run(spec, pixels(), "device-estimate"), [expected])


def test_relu6_as_coremltools_writes_it() -> None:
    layers = [
        layer("activation", "image", "shifted", linear={"alpha": 0.1, "beta": -5}),
        layer("activation", "shifted", "rectified", ReLU={}),
        layer("activation", "rectified", "turned", linear={"alpha": -1}),
        layer("unary", "turned", "cut", type=7, alpha=-6),
        layer("activation", "cut", "six", linear={"alpha": -1}),
        layer("add", "six", "both"),
        layer("pooling", "both", "scores", type=0, globalPooling=True, valid={}),
    ]
    layers[5]["input"] = ["six", "cut"]
    np.testing.assert_array_equal(run(model(*layers), pixels()), [[0, 0, 0]])
    layers[5]["input"] = ["six", "turned"]
    x = np.maximum(pixels() * np.float32(0.1) - 5, 0)
    expected = (np.minimum(x, 6) - x).max((0, 1))
    np.testing.assert_allclose(run(model(*layers), pixels()), [expected], atol=1e-5)


def test_a_network_as_converters_wrote_it_in_2017() -> None:
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    generator = np.random.default_rng(5)
    kernel = generator.normal(size=(3, 3, 1, 4)).astype(np.float32)
    dense = generator.normal(size=(3, 4 * 3 * 3)).astype(np.float32)
    builder = NeuralNetworkBuilder(
        [("image", datatypes.Array(1, 8, 8))],
        [("scores", datatypes.Array(3))],
        mode="classifier",
        disable_rank5_shape_mapping=False,
    )
    builder.add_convolution(
        "convolution",
        1,
        4,
        3,
        3,
        1,
        1,
        "valid",
        1,
        kernel,
        None,
        False,
        input_name="image",
        output_name="convolved",
    )
    builder.add_activation("relu", "RELU", "convolved", "rectified")
    builder.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", "rectified", "pooled")
    builder.add_flatten("flatten", 0, "pooled", "flat")
    builder.add_inner_product("dense", dense, None, 36, 3, False, "flat", "logits")
    builder.add_softmax("softmax", "logits", "scores")
    builder.set_class_labels(["a", "b", "c"], "label", "scores")
    builder.set_pre_processing_parameters(["image"], image_scale=1 / 255)
    builder.spec.specificationVersion = 1

    image = pixels(1, (8, 8))
    x = image[..., 0] / 255
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3))
    rectified = np.maximum(np.einsum("ijkl,klo->oij", windows, kernel[:, :, 0]), 0)
    pooled = rectified.reshape(4, 3, 2, 3, 2).max((2, 4))
    powers = np.exp(dense @ pooled.ravel())
    np.testing.assert_allclose(run(builder.spec, image), [powers / powers.sum()], atol=1e-5)


def changed(change: Callable[[Any], None]) -> Any:
    spec = model(POOL)
    change(spec)
    return spec


def add_array_input(spec: Any) -> None:
    spec.description.input.add(name="extra").type.multiArrayType.shape.append(3)


def drop_labels(spec: Any) -> None:
    spec.neuralNetworkClassifier.ClearField("stringClassLabels")


def add_second_preprocessing(spec: Any) -> None:
    for _ in range(2):
        spec.neuralNetworkClassifier.preprocessing.add().scaler.channelScale = 1


def forget_scale(spec: Any) -> None:
    spec.neuralNetworkClassifier.preprocessing.add().scaler.redBias = 1


def become_plain(spec: Any) -> None:
    spec.neuralNetwork.SetInParent()


def loop(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers[0].loop.SetInParent()


def read_the_unknown(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers[0].input[0] = "ghost"


def state_another_shape(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers[0].outputTensor.add(rank=4, dimValue=[1, 3, 2, 1])


def give_a_name_twice(spec: Any) -> None:
    spec.neuralNetworkClassifier.layers.add().CopyFrom(spec.neuralNetworkClassifier.layers[0])


def add_a_label(spec: Any) -> None:
    spec.neuralNetworkClassifier.stringClassLabels.vector.append("d")


def hold_state(spec: Any) -> None:
    spec.description.state.add(name="memory")


REFUSALS: list[tuple[Callable[[Any], None], str]] = [
    (add_array_input, "expected one image"),
    (drop_labels, "no class labels"),
    (add_second_preprocessing, "2 preprocessing steps"),
    (forget_scale, "channelScale is 0"),
    (become_plain, "a Core ML neuralNetwork: it names no labels"),
    (loop, "layer 'make_scores' is of type loop"),
    (read_the_unknown, "no layer gives the value 'ghost'"),
    (state_another_shape, r"outputTensor says \[1, 3, 2, 1\]"),
    (give_a_name_twice, "a name that is given already"),
    (add_a_label, "4 labels for scores of shape"),
    (hold_state, "field state"),
]


@pytest.mark.parametrize(
    ("change", "text"), REFUSALS, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_network_that_is_not_understood_is_refused(
    change: Callable[[Any], None], text: str
) -> None:
    with pytest.raises(BundleError, match=text) as refusal:
        lowered(changed(change))
    assert "\n" not in str(refusal.value)


def test_a_field_that_this_version_does_not_know_is_refused() -> None:
    spec = model(POOL)
    spec.neuralNetworkClassifier.layers[0].pooling.MergeFromString(b"\xf8\x03\x01")
    with pytest.raises(UnsupportedError, match="field 63"):
        lowered(spec)


@cache
def small_network() -> bytes:
    convolution = layer(
        "convolution",
        "image",
        "convolved",
        outputChannels=3,
        kernelChannels=3,
        kernelSize=[2, 2],
        same={},
        weights={"floatValue": np.linspace(-1, 1, 36)},
    )
    flatten = layer("flatten", "pooled", "flat")
    matrix = {"float16Value": np.eye(3, dtype=np.float16).tobytes()}
    dense = layer(
        "innerProduct", "flat", "logits", inputChannels=3, outputChannels=3, weights=matrix
    )
    pool = layer("pooling", "convolved", "pooled", type=1, globalPooling=True, valid={})
    softmax = layer("softmax", "logits", "scores")
    layers = (convolution, pool, flatten, dense, softmax)
    spec = model(*layers, size=(4, 4), preprocessing=[{"scaler": SCALER}])
    return bytes(spec.SerializeToString())


@settings(max_examples=400, deadline=2000, derandomize=True)
@given(st.data())
def test_mangled_bytes_are_read_or_refused_and_never_crash(data: st.DataObject) -> None:
    mangled = bytearray(small_network())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mangled) - 1))
        mangled[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3)
        )
    try:
        lower_neural_network(Message(memoryview(mangled), "Model", SCHEMA), "stored")
    except BundleError:
        return


@settings(max_examples=100, deadline=2000, derandomize=True)
@given(st.integers(0, 1 << 16))
def test_truncated_bytes_are_refused(length: int) -> None:
    cut = memoryview(small_network())[: length % (len(small_network()) - 1)]
    with pytest.raises(BundleError):
        lower_neural_network(Message(cut, "Model", SCHEMA), "stored")


SINGLE_LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("upsample", {"fractionalScalingFactor": [1.5, 2], "mode": 1, "linearUpsampleMode": 1}),
    ("resizeBilinear", {"targetSize": [3, 5], "mode": {"samplingMethod": 1}}),
    ("sliceStatic", {"beginIds": [0] * 4, "endIds": [1] * 4, "strides": [1] * 4}),
    ("constantPad", {"padAmounts": [0, 1, 2, 0, 1, 0, 0, 3]}),
    ("rankPreservingReshape", {"targetShape": [0, -1, 2, 4]}),
    ("tile", {"reps": [2, 3]}),
    ("expandDims", {"axes": [0, 2]}),
    ("reduceMean", {"axes": [1, -1]}),
    ("reorganizeData", {"mode": 1, "blockSize": 2}),
    ("crop", {"cropAmounts": {"borderAmounts": [{"startEdgeSize": 1}, {"endEdgeSize": 1}]}}),
    ("batchnorm", {"channels": 4, "computeMeanVar": True, "instanceNormalization": True}),
]


@settings(max_examples=400, deadline=2000, derandomize=True)
@given(st.data())
def test_mangled_layers_are_lowered_or_refused_and_never_crash(data: st.DataObject) -> None:
    kind, parameters = data.draw(st.sampled_from(SINGLE_LAYERS))
    mangled = bytearray(layer_bytes(kind, parameters, 1))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(mangled) - 1))
        mangled[position] = data.draw(st.integers(0, 255))
    graph = NetworkGraph(OnnxGraph(), "stored")
    graph.values["x0"] = Tensor("x0", (1, 4, 6, 4))
    try:
        lower_layer(graph, Message(memoryview(mangled), "NeuralNetworkLayer", SCHEMA))
    except BundleError:
        return


def test_relu6_costs_two_operations_and_nothing_unused_is_kept() -> None:
    import onnx

    layers = [
        layer("activation", "image", "rectified", ReLU={}),
        layer("activation", "rectified", "turned", linear={"alpha": -1}),
        layer("unary", "turned", "cut", type=7, alpha=-6),
        layer("activation", "cut", "six", linear={"alpha": -1}),
        layer("pooling", "six", "scores", type=0, globalPooling=True, valid={}),
    ]
    graph = onnx.load_from_string(lowered(model(*layers)).onnx).graph
    operations = [node.op_type for node in graph.node]
    assert operations == ["Transpose", "Cast", "Relu", "Clip", "MaxPool", "Reshape", "Identity"]
