"""Made the files `keras2_*`: Python 3.6, coremltools 2.1, Keras 2.1.6 on TensorFlow 1.12.

    python make_with_keras2.py FOLDER

See `make_with_keras1.py`. The weights of the compressed files are taken back by coremltools 2.1 and
put into the Keras model that answers for them, so that the scores are those of the file.
"""

import os
import sys

import coremltools
import numpy as np
from coremltools.models.neural_network import quantization_utils
from keras.layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    Input,
    Reshape,
    SeparableConv2D,
    UpSampling2D,
    ZeroPadding2D,
    add,
    average,
    concatenate,
    maximum,
    multiply,
)
from keras.models import Model

# coremltools 2.1 calls it by a name that it does not have.
quantization_utils._get_linear_lookup_table_and_weight_and_weight = (
    quantization_utils._get_linear_lookup_table_and_weight
)

LABELS = ["ant", "bee", "cat", "dog"]
PREPROCESSING = {
    "image_scale": 1 / 127.5, "red_bias": -1.0, "green_bias": -0.9, "blue_bias": -1.1,
}  # fmt: skip


def mobile():
    image = Input((16, 12, 3))
    x = ZeroPadding2D(((0, 1), (0, 1)))(image)
    x = Activation("relu")(BatchNormalization()(Conv2D(4, 3, strides=2)(x)))
    y = BatchNormalization()(DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = add([x, Conv2D(4, 1, use_bias=False)(y)])
    squeezed = Reshape((1, 1, 4))(GlobalAveragePooling2D()(x))
    x = multiply([x, Conv2D(4, 1, activation="sigmoid")(squeezed)])
    x = Reshape((1, 1, 4))(GlobalAveragePooling2D()(x))
    x = Reshape((4,))(Conv2D(4, 1)(x))
    return Model(image, Activation("softmax")(x))


def joined():
    image = Input((16, 12, 3))
    x = SeparableConv2D(4, 3, padding="same", activation="elu")(image)
    y = Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu")(image)
    x = concatenate([add([x, y]), average([x, y]), maximum([x, y]), multiply([x, y])])
    x = Conv2DTranspose(4, 3, strides=2, padding="same")(AveragePooling2D((3, 2))(x))
    x = GlobalAveragePooling2D()(UpSampling2D(2)(x))
    return Model(image, Dense(4, activation="sigmoid")(x))


def plain():
    image = Input((16, 12, 3))
    x = Conv2D(6, 3, strides=2, activation="relu")(image)
    x = Conv2D(8, 3, activation="relu")(x)
    return Model(image, Dense(4, activation="softmax")(GlobalAveragePooling2D()(x)))


MODELS = {"mobile": mobile, "joined": joined, "plain": plain}
COMPRESSIONS = {
    "float16": (16, "_linear_quantization"),
    "linear8": (8, "_linear_quantization"),
    "linear5": (5, "_linear_quantization"),
    "table4": (4, "_lookup_table_quantization_linear"),
}


def randomise(model, random):
    """Make every weight count, the variances of batch normalisation included."""
    weights = [random.normal(0, 0.4, w.shape) if w.ndim > 1 else random.uniform(0.2, 0.6, w.shape)
               for w in model.get_weights()]  # fmt: skip
    model.set_weights(weights)


def normalised(pixels):
    biases = [PREPROCESSING[name + "_bias"] for name in ("red", "green", "blue")]
    return pixels.astype(np.float64) * PREPROCESSING["image_scale"] + biases


def weights_of(spec):
    """The weights in Keras' layout, of convolutions and dense layers in order."""
    for layer in spec.neuralNetworkClassifier.layers:
        kind = layer.WhichOneof("layer")
        if kind == "convolution":
            params = layer.convolution
            shape = (params.outputChannels, params.kernelChannels) + tuple(params.kernelSize)
            yield floats(params.weights).reshape(shape).transpose(2, 3, 1, 0)
            yield floats(params.bias)
        elif kind == "innerProduct":
            params = layer.innerProduct
            yield floats(params.weights).reshape(params.outputChannels, -1).T
            yield floats(params.bias)


def floats(weights):
    if weights.float16Value:
        return np.frombuffer(weights.float16Value, np.float16).astype(np.float32)
    return np.asarray(weights.floatValue, np.float32)


def save(folder, name, spec, pixels, scores):
    path = os.path.join(folder, "keras2_" + name)
    coremltools.models.utils.save_spec(spec, path + ".mlmodel")
    np.savez_compressed(path + ".npz", pixels=pixels, scores=scores.astype(np.float32))
    print(name, spec.specificationVersion, scores[0])


def make(name, folder):
    random = np.random.RandomState(7)
    model = MODELS[name]()
    randomise(model, random)
    pixels = random.randint(0, 256, (3,) + model.input_shape[1:]).astype(np.uint8)
    converted = coremltools.converters.keras.convert(
        model,
        input_names="image",
        image_input_names="image",
        output_names="scores",
        class_labels=LABELS,
        **PREPROCESSING
    )
    save(folder, name, converted.get_spec(), pixels, model.predict(normalised(pixels)))
    if name == "plain":
        for kind in sorted(COMPRESSIONS):
            compress(kind, folder, converted, model, pixels)


def compress(kind, folder, converted, model, pixels):
    bits, mode = COMPRESSIONS[kind]
    # quantize_weights asks for a Mac; the function beneath it does not.
    spec = type(converted.get_spec())()
    spec.CopyFrom(converted.get_spec())
    quantization_utils.quantize_spec_weights(spec, bits, mode)
    plain_spec = type(spec)()
    plain_spec.CopyFrom(spec)
    if bits < 16:
        quantization_utils._dequantize_nn_spec(plain_spec)
    model.set_weights(list(weights_of(plain_spec)))
    save(folder, "plain_" + kind, spec, pixels, model.predict(normalised(pixels)))


if __name__ == "__main__":
    for each in sorted(MODELS):
        make(each, sys.argv[1])
