from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import Conversions
from mobilecv import sources
from mobilecv.targets import linear_layers, onnx_large_weights, tflite_large_weights
from mobilecv.targets.tflite_metadata import without_files
from mobilecv.tflite_packing import unpack


def plain() -> Any:
    """Dense layers, one of them square: its layout does not show in its shape."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Dense(24, activation="relu")(x)
    x = layers.Dense(24, activation="tanh")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


def normalised() -> Any:
    """Kernels that the converter multiplies by a normalisation's factors."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(image)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.Conv2D(16, 1, use_bias=False)(x))
    # Without a function between, the sum of a normalisation could go into the next layer too.
    x = layers.BatchNormalization()(layers.Conv2D(16, (3, 2), use_bias=False)(x))
    x = layers.BatchNormalization()(layers.Conv2D(16, 1)(x))
    branches = [layers.Conv2D(16, 1, padding="same", use_bias=False)(x) for _ in range(2)]
    x = layers.ReLU()(layers.BatchNormalization()(layers.Concatenate()(branches)))
    x = layers.Dense(24)(layers.Flatten()(x))
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    return _with_statistics(keras.Model(image, layers.Dense(5, activation="softmax")(x)))


def twice() -> Any:
    """A layer whose outputs are multiplied again behind its normalisation's sum."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(16, 3)(image))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(16, 3, dilation_rate=2)(x)
    x = layers.Flatten()(layers.ReLU()(layers.BatchNormalization()(x)))
    return _with_statistics(keras.Model(image, layers.Dense(5, activation="softmax")(x)))


def shared() -> Any:
    """A kernel that two layers read."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    convolution = layers.Conv2D(8, 3, padding="same", activation="relu")
    x = convolution(layers.Conv2D(8, 1)(image))
    x = layers.Flatten()(convolution(x))
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


def _with_statistics(model: Any) -> Any:
    random = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([random.uniform(0.5, 2, each.shape) for each in layer.get_weights()])
    return model


@pytest.fixture(params=[plain, normalised, twice, shared], ids=lambda each: each.__name__)
def conversions(request: pytest.FixtureRequest, tmp_path: Path) -> Conversions:
    import keras

    keras.utils.set_random_seed(0)
    return Conversions(request.param(), tmp_path)


def _contents(file: Path) -> tuple[list[Any], list[Any]]:
    """Operators in their order and, as that of the constants is any, these sorted."""
    model = unpack(without_files(file.read_bytes()))
    (graph,) = model.subgraphs
    constants = [
        (tuple(tensor.shape), np.asarray(model.buffers[tensor.buffer].data).tobytes())
        for tensor in graph.tensors
        if model.buffers[tensor.buffer].data is not None
    ]
    operators = [
        (
            model.operatorCodes[op.opcodeIndex].builtinCode,
            vars(op.builtinOptions) if op.builtinOptions else {},
        )
        for op in graph.operators
    ]
    return operators, sorted(constants)


def test_kernels_that_go_around_the_converter_give_the_same_tflite_file(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite_large_weights, "LARGE", 1 << 30)
    expected = _contents(conversions.convert("tflite"))
    filled: list[bool] = []
    put_back = tflite_large_weights.put_back

    def noted(*arguments: Any) -> bytes | None:
        result = put_back(*arguments)
        filled.append(result is not None)
        return result

    monkeypatch.setattr(tflite_large_weights, "put_back", noted)
    monkeypatch.setattr(tflite_large_weights, "LARGE", 256)
    assert _contents(conversions.convert("tflite")) == expected
    assert filled == [True]


def test_constants_of_a_saved_model_may_wait_for_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = normalised()
    model.export(tmp_path / "saved", verbose=False)
    conversions = Conversions(model, tmp_path, sources.open_session(tmp_path / "saved"))
    monkeypatch.setattr(tflite_large_weights, "LARGE", 1 << 30)
    expected = _contents(conversions.convert("tflite"))
    monkeypatch.setattr(tflite_large_weights, "LARGE", 256)
    assert _contents(conversions.convert("tflite")) == expected


def test_a_kernel_that_is_not_found_again_is_converted_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    keras.utils.set_random_seed(0)
    conversions = Conversions(plain(), tmp_path)
    monkeypatch.setattr(tflite_large_weights, "LARGE", 1 << 30)
    expected = conversions.convert("tflite").read_bytes()
    monkeypatch.setattr(tflite_large_weights, "LARGE", 256)
    monkeypatch.setattr(tflite_large_weights, "_only_number", lambda _: None)
    assert conversions.convert("tflite").read_bytes() == expected


def test_kernels_that_go_around_the_converter_give_the_same_onnx_answers(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    photos = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)

    def answers() -> Any:
        session = onnxruntime.InferenceSession(conversions.convert("onnx"))
        return session.run(None, {"image": photos})[0]

    expected = answers()
    monkeypatch.setattr(onnx_large_weights, "LARGE", 256)
    np.testing.assert_allclose(answers(), expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "found"), [("float32", 1), ("float16", 0), ("float64", 0)])
def test_only_kernels_in_float32_go_around(dtype: str, found: int) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        kernel = tf.constant(np.random.default_rng(0).normal(size=(1024, 2048)), dtype)
        tf.matmul(tf.compat.v1.placeholder(dtype, (1, 1024)), kernel)
    assert len(linear_layers.linear_layers(graph.as_graph_def(add_shapes=True), 256)) == found


@pytest.mark.parametrize(("shape", "found"), [((5,), 1), ((1, 1, 1, 5), 0)])
def test_a_product_that_changes_the_shape_is_left_to_the_converter(
    shape: tuple[int, ...], found: int
) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        kernel = tf.constant(np.random.default_rng(0).normal(size=(8, 5)), "float32")
        outputs = tf.matmul(tf.compat.v1.placeholder("float32", (1, 8)), kernel)
        tf.identity(outputs * tf.constant(2.0, shape=shape))
    assert len(linear_layers.linear_layers(graph.as_graph_def(add_shapes=True), 16)) == found
