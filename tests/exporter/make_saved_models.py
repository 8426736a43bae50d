"""Makes SavedModel folders for `test_saved_models.py`: `python make_saved_models.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

L = keras.layers
IMAGES = np.random.default_rng(4).uniform(-1, 1, (5, 16, 12, 3)).astype(np.float32)


def _network(*first: Any) -> keras.Model:
    image = keras.Input((16, 12, 3))
    x = image
    for layer in first:
        x = layer(x)
    x = L.BatchNormalization()(L.Conv2D(6, 3, strides=2, activation="relu")(x))
    model = keras.Model(image, L.Dense(4, activation="softmax")(L.Flatten()(x)))
    random = np.random.default_rng(5)
    model.set_weights([random.uniform(0.02, 0.4, w.shape) for w in model.get_weights()])
    return model


def _module(folder: Path, function: Any, spec: Any, name: str = "serving_default") -> None:
    module = tf.Module()
    module.scores = tf.function(function, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={name: module.scores})


def _tf1(folder: Path) -> None:
    """As `tf.estimator` and slim wrote it: a graph, old variables, a table's worth of outputs."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        v1 = tf.compat.v1
        image = v1.placeholder(tf.float32, (None, 16, 12, 3), name="images")
        random = np.random.default_rng(6)
        kernel = v1.get_variable(
            "kernel", initializer=random.normal(size=(3, 3, 3, 5)).astype("f4"), use_resource=False
        )
        pooled = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, kernel, 2, "SAME")), [1, 2])
        weights = v1.get_variable(
            "weights", initializer=random.normal(size=(5, 4)).astype("f4"), use_resource=True
        )
        scores = tf.nn.softmax(tf.matmul(pooled, weights), name="scores")
        session.run(v1.global_variables_initializer())
        outputs = {"classes": tf.argmax(scores, 1), "probabilities": scores}
        v1.saved_model.simple_save(session, str(folder / "tf1"), {"images": image}, outputs)
        np.save(folder / "tf1.npy", session.run(scores, {image: IMAGES}))


def main(folder: Path) -> None:
    """Write every folder, and the scores that some of them give on `IMAGES`."""
    np.save(folder / "images.npy", IMAGES)
    _tf1(folder)
    model = _network()
    model.export(str(folder / "keras3"), verbose=False)
    np.save(folder / "keras3.npy", model(IMAGES, training=False))
    rescaling = _network(L.Rescaling(1 / 127.5, offset=-1), L.ZeroPadding2D(1))
    rescaling.export(str(folder / "rescaling"), verbose=False)
    floats = tf.TensorSpec((None, 16, 12, 3), tf.float32, "image")
    bytes_ = tf.TensorSpec((None, 16, 12, 3), tf.uint8, "image")
    flat = tf.constant(np.random.default_rng(7).normal(size=(576, 4)).astype(np.float32))

    def scores(image: tf.Tensor) -> dict[str, tf.Tensor]:
        flattened = tf.reshape(tf.cast(image, tf.float32) / 255, (-1, 576))
        return {"scores": tf.nn.softmax(tf.matmul(flattened, flat))}

    def called(image: tf.Tensor) -> dict[str, tf.Tensor]:
        given = scores(image)["scores"]
        return {"scores": tf.ensure_shape(tf.numpy_function(abs, [given], tf.float32), (None, 4))}

    def reading(image: tf.Tensor) -> dict[str, tf.Tensor]:
        length = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return {"scores": scores(image)["scores"] + tf.cast(length, tf.float32)}

    def random(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": scores(image)["scores"] + tf.random.uniform((1, 4))}

    _module(folder / "bytes", scores, bytes_)
    _module(folder / "named", scores, floats, "predict")
    _module(folder / "python", called, floats)
    _module(folder / "reading", reading, floats)
    _module(folder / "random", random, floats)
    _module(folder / "vector", lambda x: {"s": x}, tf.TensorSpec((None, 7), tf.float32, "x"))
    _module(folder / "three", scores, tf.TensorSpec((3, 16, 12, 3), tf.float32, "image"))
    _module(folder / "map", lambda image: {"map": image * 2.0}, floats)
    tf.saved_model.save(tf.Module(), str(folder / "unsigned"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
