"""A network that coremltools converted from Keras, against Keras itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mobilecv_runtime.coreml.model import open_specification
from mobilecv_runtime.coreml.neural_network import lower_neural_network

LABELS = ["a", "b", "c", "d"]


def network() -> Any:
    """One of each: strides, depthwise, batch normalisation, ReLU6, swish, gates, average pools."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((33, 31, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization(gamma_initializer="random_normal")(x)
    x = layers.ReLU(6.0)(x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.Activation("swish")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    x = layers.Add()([x, layers.Multiply()([y, gate])])
    x = layers.Concatenate()(
        [layers.AveragePooling2D(3, 2, "same")(x), layers.MaxPooling2D(3, 2, "same")(x)]
    )
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(len(LABELS), activation="softmax")(x))


def convert(model: Any, path: Path) -> None:
    import coremltools
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    signature = tf.TensorSpec((1, 33, 31, 3), tf.float32, name="image")
    traced = tf.function(lambda x: model(x, training=False), autograph=False)
    function = convert_variables_to_constants_v2(traced.get_concrete_function(signature))
    image = coremltools.ImageType(
        name="image", shape=(1, 33, 31, 3), scale=1 / 127.5, bias=[-1.0, -1.0, -1.0]
    )
    converted = coremltools.convert(
        [function],
        source="tensorflow",
        inputs=[image],
        classifier_config=coremltools.ClassifierConfig(LABELS),
        convert_to="neuralnetwork",
        skip_model_load=True,
    )
    path.write_bytes(converted.get_spec().SerializeToString())


@pytest.mark.filterwarnings("ignore")  # The frameworks' own, of each other's versions.
def test_a_network_from_keras_gives_the_answers_of_keras(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "network.mlmodel"
    convert(model, path)
    generator = np.random.default_rng(0)
    photos = generator.integers(0, 256, (5, 33, 31, 3), dtype=np.uint8)
    expected = model(photos / np.float32(127.5) - 1, training=False).numpy()
    for arithmetic, tolerance in (("stored", 1e-6), ("device-estimate", 2e-3)):
        lowered = lower_neural_network(open_specification(path), arithmetic)
        session = onnxruntime.InferenceSession(lowered.onnx, providers=["CPUExecutionProvider"])
        found = [session.run(None, {"pixels": photo[None]})[0][0] for photo in photos]
        assert lowered.labels == tuple(LABELS)
        np.testing.assert_allclose(found, expected, atol=tolerance)
