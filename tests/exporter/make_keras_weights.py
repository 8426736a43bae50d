"""Makes files of weights for `test_keras_weights.py`: `python make_keras_weights.py FOLDER`.

The network is that of many who fine-tuned InceptionV3: a base without a top, Flatten, a dense
layer, Dropout and nine classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

NETS = """
import keras

L = keras.layers


def _base(tensor):
    x = L.Conv2D(6, 3, strides=2, activation="relu", name="conv_1")(tensor)
    x = L.BatchNormalization(scale=False, name="batch_1")(x)
    left = L.Conv2D(4, 1, name="left")(x)
    return L.Concatenate()([left, L.Conv2D(4, 1, name="right")(x)])


def _head(x, classes):
    x = L.Dense(16, activation="relu", name="dense_hidden")(L.Flatten()(x))
    return L.Dense(classes, activation="softmax", name="scores")(L.Dropout(0.6)(x))


def build(classes=9):
    image = keras.Input((16, 16, 3))
    return keras.Model(image, _head(_base(image), classes))


def nested(classes=9):
    inner = keras.Input((16, 16, 3))
    base = keras.Model(inner, _base(inner), name="base")
    image = keras.Input((16, 16, 3))
    return keras.Model(image, _head(base(image), classes))


def unnamed(classes=9):
    image = keras.Input((16, 16, 3))
    x = L.Conv2D(6, 3, strides=2, activation="relu")(image)
    x = L.Dense(16, activation="relu")(L.Flatten()(L.BatchNormalization()(x)))
    return keras.Model(image, L.Dense(classes, activation="softmax")(x))


def longer():
    image = keras.Input((16, 16, 3))
    x = L.Dense(12, name="one_more")(_base(image))
    return keras.Model(image, _head(x, 9))


def rescaling():
    image = keras.Input((16, 16, 3))
    return keras.Model(image, _head(_base(L.Rescaling(1 / 255)(image)), 9))


def other():
    image = keras.Input((16, 16, 3))
    return keras.Model(image, L.Dense(9, name="elsewhere")(L.GlobalAveragePooling2D()(image)))


def nothing():
    return None


def unbuilt():
    return keras.Sequential([L.Flatten(), L.Dense(9)])
"""


def main(folder: Path) -> None:
    """Write the networks' code, their weights in both layouts, configs and expected scores."""
    (folder / "nets.py").write_text(NETS)
    sys.path.insert(0, str(folder))
    import nets

    images = np.random.default_rng(4).uniform(-1, 1, (5, 16, 16, 3)).astype(np.float32)
    for name in ("build", "nested", "unnamed"):
        model = getattr(nets, name)()
        random = np.random.default_rng(5)
        model.set_weights([random.uniform(0.02, 0.4, w.shape) for w in model.get_weights()])
        with h5py.File(folder / f"{name}.h5", "w") as file:
            save_weights_to_hdf5_group(file, model)
        model.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(model.to_json())
        np.savez(folder / f"{name}.npz", images=images, scores=model(images, training=False))


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    main(Path(sys.argv[1]))
