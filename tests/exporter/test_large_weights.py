from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import Conversions
from mobilecv.targets import large_kernels, tflite_large_weights


def plain() -> Any:
    """Dense layers, one of them square: its layout does not show in its shape."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Dense(24, activation="relu")(x)
    x = layers.Dense(24, activation="tanh")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


def folded() -> Any:
    """A dense layer whose weights the converter multiplies by a normalisation's."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Dense(24)(layers.Flatten()(image))
    x = layers.BatchNormalization()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(layers.ReLU()(x)))
    random = np.random.default_rng(0)
    normalisation = model.layers[3]
    normalisation.set_weights([random.uniform(0.5, 2, 24).astype(np.float32) for _ in range(4)])
    return model


@pytest.fixture(params=[plain, folded], ids=["plain", "folded"])
def conversions(request: pytest.FixtureRequest, tmp_path: Path) -> Conversions:
    import keras

    keras.utils.set_random_seed(0)
    return Conversions(request.param(), tmp_path)


def test_kernels_that_go_around_the_converter_give_the_same_tflite_file(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    expected = conversions.convert("tflite").read_bytes()
    filled: list[bool] = []
    put_back = tflite_large_weights.put_back

    def noted(*arguments: Any) -> bytes | None:
        result = put_back(*arguments)
        filled.append(result is not None)
        return result

    monkeypatch.setattr(tflite_large_weights, "put_back", noted)
    monkeypatch.setattr(large_kernels, "LARGE", 256)
    assert conversions.convert("tflite").read_bytes() == expected
    # What was computed with is converted once more, as it is.
    assert filled == ["plain" in request.node.name]


def test_kernels_that_go_around_the_converter_give_the_same_onnx_answers(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    photos = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)

    def answers() -> Any:
        session = onnxruntime.InferenceSession(conversions.convert("onnx"))
        return session.run(None, {"image": photos})[0]

    expected = answers()
    monkeypatch.setattr(large_kernels, "LARGE", 256)
    np.testing.assert_allclose(answers(), expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "found"), [("float32", 1), ("float16", 0), ("float64", 0)])
def test_only_kernels_in_float32_go_around(dtype: str, found: int) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        kernel = tf.constant(np.random.default_rng(0).normal(size=(1024, 2048)), dtype)
        tf.matmul(tf.compat.v1.placeholder(dtype, (1, 1024)), kernel)
    assert len(large_kernels.large_kernels(graph.as_graph_def())) == found
