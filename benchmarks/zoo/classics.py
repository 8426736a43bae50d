"""Networks as people build them by hand: tutorials, transfer learning, and the older classics."""

from __future__ import annotations

from typing import Any


def skin_lesions() -> Any:
    """InceptionV3 at 299x299 without its top, with a head for nine classes."""
    import keras

    base = keras.applications.InceptionV3(
        weights=None, include_top=False, input_shape=(299, 299, 3)
    )
    layers = keras.layers
    values = layers.Flatten()(base.output)
    values = layers.Dense(256, activation="relu")(values)
    values = layers.Dropout(0.6)(values)
    return keras.Model(base.input, layers.Dense(9, activation="softmax")(values))


def digits_two_convolutions() -> Any:
    """The convolutional network of Keras' own MNIST example, gray 28x28."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def digits_three_convolutions() -> Any:
    """The network of TensorFlow's MNIST tutorial, 93,322 parameters."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def digits_dense() -> Any:
    """A plain multi-layer perceptron, gray 28x28."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cats_and_dogs(*, dropout: bool) -> Any:
    """Four blocks on 150x150 and one sigmoid unit, 3,453,121 parameters."""
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input((150, 150, 3))])
    for filters in (32, 64, 128, 128):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    if dropout:
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def vgg_transfer(*, frozen_layers: int) -> Any:
    """VGG16 nested in a Sequential, 16,812,353 parameters, its first layers frozen."""
    import keras

    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    for layer in base.layers[:frozen_layers]:
        layer.trainable = False
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((150, 150, 3)),
            base,
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def vgg_features(*, outputs: int) -> Any:
    """VGG16's features at 224x224 under a new head: one sigmoid unit, or a softmax."""
    import keras

    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    kind = "sigmoid" if outputs == 1 else "softmax"
    return keras.Model(base.input, keras.layers.Dense(outputs, activation=kind)(pooled))


def alexnet() -> Any:
    """AlexNet on 227x227 (Krizhevsky et al. 2012), without its split over two GPUs."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            layers.Conv2D(96, 11, strides=4, activation="relu"),
            layers.MaxPooling2D(3, strides=2),
            layers.Conv2D(256, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(3, strides=2),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(384, 3, padding="same", activation="relu"),
            layers.Conv2D(256, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(3, strides=2),
            layers.Flatten(),
            layers.Dense(4096, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(4096, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1000, activation="softmax"),
        ]
    )


def blocks_by_hand() -> Any:
    """Dilated and separable convolutions, an Inception and a residual block, every pooling."""
    import keras

    layers = keras.layers
    image = keras.Input((96, 96, 3))
    values = layers.Conv2D(32, 3, dilation_rate=2, activation="relu")(image)
    values = layers.AveragePooling2D(2)(values)
    values = layers.SeparableConv2D(64, 3, padding="same", activation="relu")(values)
    branches = [
        layers.Conv2D(32, 1, activation="relu")(values),
        layers.Conv2D(32, 3, padding="same", activation="relu")(values),
        layers.Conv2D(32, 5, padding="same", activation="relu")(values),
        layers.MaxPooling2D(3, strides=1, padding="same")(values),
    ]
    values = layers.Concatenate()(branches)
    shortcut = layers.Conv2D(64, 1, strides=2)(values)
    values = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(values)
    values = layers.Conv2D(64, 3, padding="same")(values)
    values = layers.ReLU()(layers.Add()([values, shortcut]))
    pooled = [layers.GlobalAveragePooling2D()(values), layers.GlobalMaxPooling2D()(values)]
    return keras.Model(image, layers.Dense(12, activation="softmax")(layers.Concatenate()(pooled)))
