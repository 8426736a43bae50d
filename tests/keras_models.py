"""Makes small seeded Keras models.

TensorFlow is slow to import and warns a lot, so tests keep it out of their own process.
"""

from __future__ import annotations

import keras
import numpy as np

layers = keras.layers


def _classifier(image: keras.KerasTensor, units: int, activation: str | None) -> keras.Model:
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(units, activation=activation)(x), name="tiny")


def _free_size() -> keras.Model:
    return _classifier(keras.Input((None, None, 3)), 4, "softmax")


def _gray() -> keras.Model:
    return _classifier(keras.Input((12, 20, 1)), 4, "softmax")


def _logits() -> keras.Model:
    return _classifier(keras.Input((16, 16, 3)), 4, None)


def _sigmoid() -> keras.Model:
    return _classifier(keras.Input((16, 16, 3)), 1, "sigmoid")


def _relu() -> keras.Model:
    return _classifier(keras.Input((16, 16, 3)), 4, "relu")


def _rescaling() -> keras.Model:
    image = keras.Input((16, 16, 3))
    inner = _classifier(keras.Input((16, 16, 3)), 4, "softmax")
    return keras.Model(image, inner(layers.Rescaling(1 / 255)(image)))


def _gelu_and_groups() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    x = layers.Conv2D(8, 3, groups=4, activation="gelu")(x)
    x = layers.Dense(4, activation="softmax")(layers.Flatten()(x))
    return keras.Model(image, x)


def _pooled() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.AveragePooling2D(2)(x)
    x = layers.AveragePooling2D(8)(x)
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


def _windows() -> keras.Model:
    image = keras.Input((21, 18, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="relu")(x)
    x = layers.Conv2D(12, 3, groups=4, padding="same", use_bias=False, activation="relu")(x)
    x = layers.Conv2D(6, (1, 3), strides=(2, 1), activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 20)
    return model


def _hard_swish() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = image
    for _ in range(8):
        x = layers.Conv2D(16, 3, padding="same", activation="hard_swish")(x)
    # Squeeze and excite as in MobileNetV3: the 3 would go into the convolution's bias.
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.ReLU(6.0)(layers.Conv2D(16, 1)(gate) + 3.0) * (1.0 / 6.0)
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def _rare_operations() -> keras.Model:
    """`Expm1`, which no converter knows; a greater and a lesser value; a quotient, and small ones
    among the values that divide; a test for infinity, in a softmax over several axes."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="celu")(image)
    y, z = (layers.Conv2D(8, 1, activation="relu")(x) for _ in range(2))
    x = layers.Maximum()([layers.Minimum()([x, y]), z])
    x = x / (keras.ops.max(keras.ops.abs(x), axis=-1, keepdims=True) + 1e-3)
    x = layers.Concatenate()([x, layers.Softmax(axis=[1, 2])(z)])
    x = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


def _deconvolution() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.Conv2DTranspose(8, 4, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


def _wide() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = layers.Dense(1024, activation="relu")(layers.Flatten()(image))
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def _recurrent() -> keras.Model:
    """The rows of a gray image, one after the other, up and down."""
    image = keras.Input((5, 8, 1))
    x = layers.Reshape((5, 8))(image)
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True))(x)
    x = layers.LSTM(8)(x)
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def _not_an_image() -> keras.Model:
    return keras.Sequential([keras.Input((7,)), layers.Dense(4, activation="softmax")])


def _two_outputs() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = layers.Flatten()(image)
    return keras.Model(image, [layers.Dense(2)(x), layers.Dense(2)(x)])


def _code() -> keras.Model:
    image = keras.Input((16, 16, 3))
    return keras.Model(image, layers.Lambda(lambda x: x[:, 0, 0, :])(image))


def _nan() -> keras.Model:
    model = _classifier(keras.Input((16, 16, 3)), 4, "softmax")
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    return model


class Maker:
    """Lives in a process of its own."""

    def make(self, kind: str, path: str) -> None:
        """Write one model, with weights that tell its channels and its pixels apart."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        model = globals()[f"_{kind.removesuffix('_weights')}"]()
        if kind != "nan":
            random = np.random.default_rng(3)
            weights = model.get_weights()
            model.set_weights(
                [w + random.uniform(0.01, 0.4, w.shape) * (w.ndim == 1) for w in weights]
            )
        if kind.endswith("_weights"):
            model.save_weights(path)
        else:
            model.save(path)
