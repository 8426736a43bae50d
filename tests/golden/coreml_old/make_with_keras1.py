"""Made the files `keras1_*`: Python 2.7, coremltools 0.8, Keras 1.2.2 on TensorFlow 1.12.

    python make_with_keras1.py FOLDER

Beside each `.mlmodel` lies an `.npz` with `pixels` (count, height, width, channels), uint8, and
`scores`, what Keras itself answered. No line here is mobilecv's; Keras normalises in numpy.
"""

from __future__ import print_function

import os
import sys

import coremltools
import numpy as np
from keras import backend
from keras.layers import (
    ELU,
    Activation,
    AtrousConvolution2D,
    AveragePooling2D,
    BatchNormalization,
    Convolution2D,
    Cropping2D,
    Deconvolution2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    LeakyReLU,
    MaxPooling2D,
    PReLU,
    ThresholdedReLU,
    UpSampling2D,
    ZeroPadding2D,
    merge,
)
from keras.models import Model, Sequential

LABELS = ["ant", "bee", "cat", "dog"]


def gray():
    return Sequential([
        Convolution2D(4, 3, 3, activation="relu", input_shape=(12, 20, 1)),
        MaxPooling2D(),
        Convolution2D(6, 3, 3, border_mode="same", subsample=(2, 2), activation="tanh"),
        Flatten(),
        Dense(4, activation="softmax"),
    ])  # fmt: skip


def activations():
    return Sequential([
        ZeroPadding2D((1, 2), input_shape=(16, 12, 3)),
        Convolution2D(4, 3, 3, subsample=(2, 2)),
        BatchNormalization(),
        LeakyReLU(0.2),
        Convolution2D(4, 3, 3, border_mode="same"),
        PReLU(shared_axes=[1, 2]),
        AveragePooling2D(border_mode="same"),
        Convolution2D(4, 3, 3, border_mode="same", activation="hard_sigmoid"),
        Convolution2D(4, 1, 1, activation="softplus"),
        Convolution2D(4, 1, 1, activation="softsign"),
        ELU(0.7),
        ThresholdedReLU(0.05),
        Flatten(),
        Dense(4, activation="sigmoid"),
    ])  # fmt: skip


def old_layers():
    image = Input((16, 12, 3))
    x = AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2), activation="relu")(image)
    y = Convolution2D(4, 5, 5, activation="sigmoid")(image)
    for mode in ("sum", "mul", "ave", "max"):
        x = Convolution2D(4, 1, 1)(merge([x, y], mode=mode))
    x = merge([x, y], mode="concat", concat_axis=3)
    x = UpSampling2D((2, 3))(x)
    # The same on both axes: coremltools 0.8 writes rows where the format has columns. Its Permute
    # gives another order than Keras, and so is not here.
    x = Cropping2D(((2, 1), (2, 1)))(x)
    x = Deconvolution2D(
        5, 3, 3, output_shape=(None, 43, 43, 5), subsample=(2, 2), border_mode="valid"
    )(x)
    x = MaxPooling2D((3, 3), strides=(2, 2), border_mode="same")(x)
    x = Activation("relu")(x)
    pooled = merge([GlobalAveragePooling2D()(x), GlobalMaxPooling2D()(x)], mode="concat")
    return Model(image, Dense(4, activation="softmax")(pooled))


MODELS = {
    "gray": (gray, {"image_scale": 1 / 255.0}),
    "activations": (
        activations,
        {"image_scale": 1 / 127.5, "red_bias": -1.1, "green_bias": -0.9, "blue_bias": -1.0},
    ),
    "old_layers": (
        old_layers,
        {
            "is_bgr": True,
            "image_scale": 0.01,
            "red_bias": -1.2,
            "green_bias": -1.1,
            "blue_bias": -1,
        },
    ),
}


def randomise(model, random):
    """Make every weight count, the variances of batch normalisation included."""
    weights = [random.normal(0, 0.4, w.shape) if w.ndim > 1 else random.uniform(0.2, 0.6, w.shape)
               for w in model.get_weights()]  # fmt: skip
    model.set_weights(weights)


def normalised(pixels, image_scale=1.0, is_bgr=False, **biases):
    values = pixels.astype(np.float64) * image_scale
    if values.shape[-1] == 3:
        values += [biases.get(name + "_bias", 0.0) for name in ("red", "green", "blue")]
    return values[..., ::-1] if is_bgr else values


def make(name, folder):
    build, preprocessing = MODELS[name]
    random = np.random.RandomState(7)
    model = build()
    randomise(model, random)
    pixels = random.randint(0, 256, (3,) + model.input_shape[1:]).astype(np.uint8)
    scores = model.predict(normalised(pixels, **preprocessing))
    converted = coremltools.converters.keras.convert(
        model,
        input_names="image",
        image_input_names="image",
        output_names="scores",
        class_labels=LABELS,
        **preprocessing
    )
    path = os.path.join(folder, "keras1_" + name)
    converted.save(path + ".mlmodel")
    np.savez_compressed(path + ".npz", pixels=pixels, scores=scores.astype(np.float32))
    print(name, converted.get_spec().specificationVersion, scores[0])


if __name__ == "__main__":
    backend.set_image_dim_ordering("tf")
    for each in sorted(MODELS):
        make(each, sys.argv[1])
