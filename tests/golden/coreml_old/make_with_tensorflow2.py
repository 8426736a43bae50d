"""Made the file `tensorflow2_coremltools3`: Python 3.7, coremltools 3.4, TensorFlow 2.3.4; and
`tensorflow2_coremltools4`: Python 3.8, coremltools 4.1, TensorFlow 2.3.4.

    python make_with_tensorflow2.py FOLDER

See `make_with_keras1.py`. Both converters start from the TensorFlow graph and write layers of
specification version 4, with ranks of their own: coremltools 3.4 by its first converter of such
graphs, coremltools 4.1 by the one that ML Programs come from.
"""

import os
import sys

import coremltools
import numpy as np
import tensorflow as tf
from tensorflow.keras import Model, layers

LABELS = ["ant", "bee", "cat", "dog"]
SCALE = 1 / 127.5
BIASES = [-1.0, -0.9, -1.1]


def mobile():
    image = layers.Input((16, 12, 3))
    # The same on all sides: coremltools 3.4 moves the padding of one side to another.
    x = layers.ZeroPadding2D(1)(image)
    x = layers.Conv2D(6, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.LeakyReLU(0.2)(layers.BatchNormalization()(y))
    x = layers.add([x, layers.Conv2D(6, 1)(y)])
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(x))
    x = layers.multiply([x, layers.Conv2D(6, 1, activation="sigmoid")(gate)])
    x = layers.concatenate([layers.MaxPooling2D()(x), layers.AveragePooling2D()(x)])
    # Without a bias, which coremltools 4.1 would add as a vector behind a transposition: the format
    # does not say how its layer `add` broadcasts that.
    x = layers.Conv2D(8, 3, activation="elu", use_bias=False)(x)
    return Model(image, layers.Dense(4, activation="softmax")(layers.GlobalMaxPooling2D()(x)))


def randomise(model, random):
    """Make every weight count, the variances of batch normalisation included."""
    weights = [random.normal(0, 0.25, w.shape) if w.ndim > 1 else random.uniform(0.2, 0.6, w.shape)
               for w in model.get_weights()]  # fmt: skip
    model.set_weights(weights)


def convert3(model):
    signature = tf.TensorSpec((1,) + model.input_shape[1:], tf.float32, name="image")
    function = tf.function(lambda image: model(image, training=False))
    return coremltools.converters.tensorflow.convert(
        [function.get_concrete_function(signature)],
        inputs={"image": (1,) + model.input_shape[1:]},
        outputs=["Identity"],
        image_input_names="image",
        image_scale=SCALE,
        red_bias=BIASES[0],
        green_bias=BIASES[1],
        blue_bias=BIASES[2],
        class_labels=LABELS,
    )


def convert4(model):
    image = coremltools.ImageType(shape=(1,) + model.input_shape[1:], scale=SCALE, bias=BIASES)
    labels = coremltools.ClassifierConfig(LABELS)
    return coremltools.convert(model, inputs=[image], classifier_config=labels)


def make(folder):
    random = np.random.RandomState(7)
    model = mobile()
    randomise(model, random)
    pixels = random.randint(0, 256, (3,) + model.input_shape[1:]).astype(np.uint8)
    scores = model.predict((pixels.astype(np.float64) * SCALE + BIASES).astype(np.float32))
    version = coremltools.__version__[0]
    spec = {"3": convert3, "4": convert4}[version](model).get_spec()
    path = os.path.join(folder, "tensorflow2_coremltools" + version)
    coremltools.models.utils.save_spec(spec, path + ".mlmodel")
    np.savez_compressed(path + ".npz", pixels=pixels, scores=scores.astype(np.float32))
    print(version, spec.specificationVersion, scores)
    print([layer.WhichOneof("layer") for layer in spec.neuralNetworkClassifier.layers])


if __name__ == "__main__":
    make(sys.argv[1])
