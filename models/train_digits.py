"""Trains `digits.h5`, the demo model: scikit-learn's handwritten digits as 32x32 RGB images.

Run it with `python models/train_digits.py`; it takes about two minutes on two cores. The digits are
drawn in colour on a coloured ground (see `digits_images.py`), so that a swapped channel order or a
lost normalisation shows. The network has what classifiers for phones are made of: convolutions,
batch normalisation, depthwise convolutions, ReLU6, a residual sum, global average pooling.

Preprocessing: RGB, scale 1/127.5, bias -1, which are the defaults of `mobilecv export`.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from digits_images import draw_digits

SEED = 7
EPOCHS = 40
BATCH = 128
HERE = Path(__file__).parent


def build() -> keras.Model:
    """A small inverted-residual network, 10 classes."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
    x = _depthwise_block(x, 32)
    shortcut = x
    x = layers.Add()([_depthwise_block(x, 32), shortcut])
    x = layers.MaxPooling2D(2)(x)
    x = _depthwise_block(x, 64)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x), name="digits")


def _depthwise_block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    layers = keras.layers
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))


def main() -> None:
    """Train, say how good it is, and save."""
    keras.utils.set_random_seed(SEED)
    train, train_classes = draw_digits("train", seed=SEED, repeats=8)
    test, test_classes = draw_digits("test", seed=SEED + 1)
    steps = EPOCHS * -(-len(train) // BATCH)
    model = build()
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(_normalise(train), train_classes, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    _, accuracy = model.evaluate(_normalise(test), test_classes, verbose=0)
    print(f"accuracy on {len(test)} held-out images: {accuracy:.2%}")
    model.save(HERE / "digits.h5", include_optimizer=False)


def _normalise(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


if __name__ == "__main__":
    main()
