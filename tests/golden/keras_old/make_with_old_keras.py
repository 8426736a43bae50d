"""Made the files of this folder with the Keras that each one is named after.

    python make_with_old_keras.py FOLDER

| files        | Python | packages                                                        |
|--------------|--------|-----------------------------------------------------------------|
| `keras122_*` | 3.6    | keras 1.2.2, tensorflow 1.12.3, h5py 2.10                       |
| `theano122_*`| 3.6    | the same with KERAS_BACKEND=theano, theano 1.0.5                |
| `keras209_*` | 3.6    | keras 2.0.9, tensorflow 1.12.3, h5py 2.10                       |
| `keras224_*` | 3.6    | keras 2.2.4, tensorflow 1.12.3, h5py 2.10                       |
| `keras231_*` | 3.7    | keras 2.3.1, tensorflow 1.15.5, h5py 2.10                       |
| `tf115_*`    | 3.7    | tf.keras of tensorflow 1.15.5, with STANDALONE=0                |
| `tf23_*`     | 3.8    | tf.keras of tensorflow-cpu 2.3.4                                |
| `tf211_*`    | 3.8    | tf.keras of tensorflow-cpu 2.11.1                               |

The sub-folder `weights` holds weights alone, with the network as JSON, of the first two rows.
Beside each model lies an `.npz` with `values` (count, height, width, channels), float32, channels
last whatever the model takes, and `scores`, what that Keras itself answered. No line here is
mobilecv's.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

if os.environ.get("KERAS_BACKEND") == "theano":
    import theano.ifelse  # Keras 1 uses it without importing it; noqa: F401

try:
    if os.environ.get("STANDALONE") == "0":
        raise ImportError
    import keras

    NAME = "theano" if keras.backend.backend() == "theano" else "keras"
    VERSION = keras.__version__.replace(".", "")
except ImportError:
    import tensorflow
    from tensorflow import keras

    NAME = "tf"
    VERSION = "".join(tensorflow.__version__.split(".")[:2])

L = keras.layers
Model, Sequential = keras.models.Model, keras.models.Sequential
RANDOM = np.random.RandomState(7)


def randomise(model):
    """Make every weight count, the variances of batch normalisation included."""
    model.set_weights([
        RANDOM.normal(0, np.prod(w.shape[:-1]) ** -0.5, w.shape)
        if w.ndim > 1
        else RANDOM.uniform(0.4, 1.2, w.shape)
        for w in model.get_weights()
    ])  # fmt: skip


def save(folder, name, model, suffix=".h5", channels_first=False, compiled=True):
    randomise(model)
    shape = tuple(20 if size is None else size for size in model.input_shape[1:])
    values = RANDOM.uniform(-1, 1, (3,) + shape).astype("float32")
    if compiled:
        try:
            optimizer = keras.optimizers.SGD(lr=1e-4, momentum=0.9, decay=1e-6)
        except ValueError:
            optimizer = "sgd"
        model.compile(optimizer, "categorical_crossentropy")
        classes = model.output_shape[-1]
        model.train_on_batch(values, np.eye(classes, dtype="float32")[:3])
    scores = model.predict(values)
    path = os.path.join(folder, NAME + VERSION + "_" + name)
    if suffix != ".keras":
        model.save(path + suffix)
    else:
        model.save(path + suffix, save_format="h5")
    if channels_first:
        values = values.transpose(0, 2, 3, 1)
    np.savez_compressed(path + ".npz", values=values, scores=scores.astype("float32"))
    print(NAME, VERSION, name, os.path.getsize(path + suffix), scores[0])


def save_weights(folder, name, model, channels_first=False):
    """Weights alone, and the network as JSON, in the sub-folder `weights`."""
    randomise(model)
    values = RANDOM.uniform(-1, 1, (3,) + model.input_shape[1:]).astype("float32")
    scores = model.predict(values)
    path = os.path.join(folder, "weights", NAME + VERSION + "_" + name)
    model.save_weights(path + ".h5")
    with open(path + ".json", "w") as file:
        file.write(model.to_json())
    if channels_first:
        values = values.transpose(0, 2, 3, 1)
    np.savez_compressed(path + ".npz", values=values, scores=scores.astype("float32"))


def keras1(folder):
    from keras.layers import merge

    def digits(ordering, shape):
        return Sequential([
            L.Convolution2D(
                4, 3, 3, activation="relu", input_shape=shape, dim_ordering=ordering,
                W_regularizer="l2", init="he_normal",
            ),
            L.BatchNormalization(axis=1 if ordering == "th" else -1),
            L.MaxPooling2D((2, 2), dim_ordering=ordering),
            L.ZeroPadding2D((1, 1), dim_ordering=ordering),
            L.Convolution2D(
                5, 3, 3, subsample=(2, 2), bias=False, dim_ordering=ordering,
                border_mode="valid",
            ),
            L.PReLU(),
            L.Dropout(0.5),
            L.Flatten(),
            L.Dense(8, activation="hard_sigmoid"),
            L.Dense(4, activation="softmax"),
        ])  # fmt: skip

    if NAME == "theano":
        save(folder, "channels_first", digits("th", (3, 16, 12)), channels_first=True)
        save_weights(folder, "channels_first", digits("th", (3, 16, 12)), channels_first=True)
        return
    save(folder, "digits", digits("tf", (16, 12, 1)))
    save(folder, "channels_first", digits("th", (3, 16, 12)), channels_first=True)
    image = L.Input((16, 12, 3))
    x = L.Convolution2D(4, 3, 3, border_mode="same", dim_ordering="tf")(image)
    y = L.SeparableConvolution2D(4, 3, 3, border_mode="same", dim_ordering="tf")(image)
    for mode in ("sum", "mul", "ave", "max"):
        x = merge([x, y], mode=mode)
    x = merge([x, y], mode="concat", concat_axis=3)
    x = L.AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2), dim_ordering="tf")(x)
    x = L.Deconvolution2D(
        5, 3, 3, output_shape=(None, 25, 17, 5), subsample=(2, 2), dim_ordering="tf"
    )(x)
    x = L.ELU(0.7)(L.LeakyReLU(0.2)(x))
    x = L.UpSampling2D((2, 1), dim_ordering="tf")(x)
    x = L.ThresholdedReLU(0.05)(L.Cropping2D(((2, 1), (1, 0)), dim_ordering="tf")(x))
    x = L.GlobalAveragePooling2D(dim_ordering="tf")(x)
    save(folder, "merged", Model(image, L.Dense(4, activation="softmax")(x)))
    save_weights(folder, "digits", digits("tf", (16, 12, 1)))
    save_weights(folder, "merged", Model(image, L.Dense(4, activation="softmax")(x)))


def nested(flatten):
    image = L.Input((16, 12, 3))
    x = L.Conv2D(4, (3, 3), activation="relu", padding="same", name="block1_conv1")(image)
    x = L.BatchNormalization(name="block1_norm")(x)
    x = L.MaxPooling2D((2, 2), name="block1_pool")(x)
    x = L.Conv2D(4, (3, 3), activation="relu", padding="same", name="block2_conv1")(x)
    x = L.BatchNormalization(name="block2_norm")(x)
    base = Model(inputs=image, outputs=x, name="base")
    for layer in base.layers[:3]:
        layer.trainable = False
    layers = [base, L.Flatten()] if flatten else [base, L.GlobalAveragePooling2D()]
    return Sequential(layers + [L.Dense(8), L.Dropout(0.5), L.Dense(4, activation="softmax")])


def block(channels):
    return Sequential([
        L.Conv2D(channels, (3, 3), padding="same", input_shape=(8, 6, channels)),
        L.BatchNormalization(),
        L.Activation("relu"),
    ])  # fmt: skip


def residual():
    image = L.Input((16, 12, 3))
    x = L.ZeroPadding2D(((0, 1), (0, 1)))(image)
    x = L.Conv2D(4, (3, 3), strides=(2, 2), use_bias=False, kernel_regularizer="l2")(x)
    x = L.BatchNormalization(scale=False)(x)
    x = L.PReLU(shared_axes=[1, 2])(x)
    shared = block(4)
    x = shared(L.add([shared(x), x]))
    y = L.SeparableConv2D(4, (3, 3), padding="same", activation="hard_sigmoid")(x)
    depthwise = getattr(L, "DepthwiseConv2D", None)
    if depthwise is None:
        depthwise = keras.applications.mobilenet.DepthwiseConv2D
    y = depthwise((3, 3), padding="same", depth_multiplier=2, use_bias=False)(y)
    x = L.concatenate([x, y])
    x = L.SpatialDropout2D(0.1)(L.GaussianNoise(0.1)(x))
    x = L.Reshape((1, 1, 12))(L.GlobalAveragePooling2D()(x))
    x = L.Reshape((4,))(L.Conv2D(4, (1, 1))(x))
    return Model(inputs=[image], outputs=[L.Activation("softmax")(x)])


def channels_first():
    image = L.Input((3, 16, 12))
    first = {"data_format": "channels_first"}
    x = L.Conv2D(4, (3, 3), padding="same", strides=(2, 2), **first)(image)
    x = L.BatchNormalization(axis=1)(x)
    x = L.PReLU()(x)
    y = L.Conv2D(4, (1, 1), activation="relu", **first)(x)
    x = L.concatenate([L.add([x, y]), L.MaxPooling2D((1, 1), **first)(y)], axis=1)
    x = L.Dropout(0.1)(L.Flatten()(x))
    return Model(inputs=image, outputs=L.Dense(4, activation="softmax")(L.BatchNormalization()(x)))


def any_size():
    return Sequential([
        L.Conv2D(4, (3, 3), input_shape=(None, None, 3), activation="relu"),
        L.GlobalAveragePooling2D(),
        L.Dense(4, activation="softmax"),
    ])  # fmt: skip


def functional_over_nested():
    """The form of the transfer learning tutorial, its preprocessing in the graph."""
    base = nested(flatten=False).layers[0]
    base.trainable = False
    image = L.Input((16, 12, 3))
    x = image
    if VERSION == "211":
        x = x / 2.0 - 0.25
    x = base(x, training=False)
    x = L.GlobalAveragePooling2D()(x)
    return Model(inputs=image, outputs=L.Dense(4)(x))


def keras2(folder):
    compiled = VERSION not in ("115", "23")
    suffix = ".model" if VERSION == "209" else ".h5"
    save(folder, "nested", nested(flatten=True), suffix, compiled=compiled)
    save(folder, "residual", residual(), compiled=False)
    if NAME == "keras" and VERSION != "231":
        save(folder, "channels_first", channels_first(), channels_first=True, compiled=False)
    if VERSION == "224":
        save(folder, "any_size", any_size(), compiled=False)
    if VERSION in ("224", "211"):
        halved = L.Lambda(lambda x: x / 2.0, input_shape=(16, 12, 3), name="halved")
        layers = [halved, L.Flatten(), L.Dense(4, activation="softmax")]
        save(folder, "lambda", Sequential(layers))
    if NAME == "tf" and VERSION != "115":
        save(folder, "transfer", functional_over_nested())
    if VERSION == "23":
        save(folder, "hdf5", any_size(), suffix=".keras")


if __name__ == "__main__":
    (keras1 if VERSION.startswith("1") and NAME != "tf" else keras2)(sys.argv[1])
