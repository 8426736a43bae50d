"""Builds the networks, with random weights and answers as decided as a trained network's.

With weights as they are initialised, a network gives every class about one thousandth, and any
file agrees with it. So batch normalisation is set to what images bring, and the last layer is
scaled until the logits spread over the classes as those of a trained network do. The images are of
the kind that the files are compared on, but others of it, as in training: with the statistics of
generated patterns, squeeze-and-excite networks answered photos with confidence 1.00. No channel is
raised above the average of its layer: where a random depthwise kernel all but cancels itself, what
is left over is rounding.

Two things were tried and refused: to centre the features in batch normalisation, and the logits of
each class, so that top-1 changes from image to image. In random features images differ by little
beside what they share, so that each such step multiplies the rounding of all steps before (Yang et
al. 2019, arXiv 1902.08129), and the zoo would measure its own weights.
"""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.rows import Row
from mobilecv.photosets import test_patterns
from mobilecv.sources.architectures import Architecture
from mobilecv_runtime.photos import PhotoFolder, PreparedPhotos
from mobilecv_runtime.spec import PRESETS, Preprocessing, UInt8Array

SEED: Final = 0
_SPREAD: Final = 2.5
"""The standard deviation of a typical image's logits: so moderate that the rounding of float32
alone stays below 1e-5 in probability."""
_PHOTOS: Final = 32
_PHOTOS_OF_LARGE: Final = 8
"""Of images larger than 299x299: NASNetLarge holds half a gigabyte of results for each."""
_PHOTO_SEED: Final = 2
"""Another than that of the golden images."""
_LAYER_SCALE: Final = 0.3
"""ConvNeXt's branches start at 1e-6 and would not take part (arXiv 2201.03545)."""
_DRAWS: Final = 1000
"""How often the weights of a single unit are drawn, to take a typical one of them."""

Movement: TypeAlias = Literal["float16", "float32"]
"""What is done to a source's weights, to see how sensitive its answers are: rounded to float16, or
moved by one unit in the last place of float32, up or down."""


class NetworkMaker:
    """Makes one row's source file, in a process of its own."""

    def __init__(self, row: Row, images: Path | None) -> None:
        """Take a row of the zoo, and the folder of photos that it will be compared on."""
        self._row = row
        self._images = images

    def write(self, folder: Path) -> Path:
        """Build, condition and save the network.

        Returns:
            The source file: a whole model of Keras, or a state dict of PyTorch.
        """
        make = _write_keras if self._row.framework == "keras" else _write_torch
        return make(self._row, sample_images(self._row, self._images), folder)

    def moved_scores(
        self, source: Path, images: UInt8Array, movement: Movement
    ) -> NDArray[np.float64]:
        """What the source itself answers when nothing but its weights is moved.

        Args:
            source: What `write` wrote.
            images: (count, height, width, channels), before normalisation.
            movement: What is done to the weights.

        Returns:
            Probabilities, (count, labels).
        """
        values = _preprocessing(self._row).apply(images)
        if self._row.framework == "keras":
            return _moved_keras(source, values, movement)
        return _moved_torch(construct(self._row), source, values, movement)


def sample_images(row: Row, folder: Path | None) -> NDArray[np.float32]:
    """Photos of a folder, or test patterns, normalised: (images, size, size, channels), float32."""
    image, preprocessing = row.image, _preprocessing(row)
    if folder is None:
        return preprocessing.apply(test_patterns(image))
    count = _PHOTOS if row.size <= 299 else _PHOTOS_OF_LARGE
    photos = PhotoFolder.find(folder, row.labels).sample(count, seed=_PHOTO_SEED).photos
    return preprocessing.apply(
        np.concatenate([pixels for _, pixels in PreparedPhotos(photos, image).batches()])
    )


def _preprocessing(row: Row) -> Preprocessing:
    preprocessing = PRESETS[row.preset]
    return dataclasses.replace(preprocessing, color="GRAY") if row.channels == 1 else preprocessing


def construct(row: Row) -> Any:
    """Call the row's constructor."""
    if row.framework == "torch":
        return Architecture.parse(row.constructor).build(row.arguments, Path())
    module, _, name = row.constructor.partition(":")
    return getattr(importlib.import_module(module), name)(**row.arguments)


def _factor(logits: NDArray[np.float64]) -> float:
    """What to multiply the logits, (images, classes), with."""
    return _SPREAD / float(np.median(logits.std(axis=1)))


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits of a softmax, up to a constant; of one sigmoid unit, the pair (0, its logit)."""
    known = np.log(np.maximum(probabilities, 1e-30))
    if known.shape[1] > 1:
        return known
    other = np.log(np.maximum(1 - probabilities, 1e-30))
    return np.concatenate([np.zeros_like(known), known - other], axis=1)


def _typical_unit(features: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[Any]:
    """The weights of one unit whose logit is of middling size among those of many random units.

    A thousand classes are many draws, and one unit is a single one. Where chance makes it almost
    cancel itself, scaling its logit up would scale the rounding of all layers up with it.

    Args:
        features: Inputs of the unit, (images, features).
        kernel: Its weights as they were initialised, (features, 1).
    """
    random = np.random.default_rng(SEED)
    drawn = random.normal(scale=kernel.std(), size=(len(kernel), _DRAWS))
    sizes = np.median(np.abs(features @ drawn), axis=0)
    middle = int(np.argsort(sizes)[_DRAWS // 2])
    return drawn[:, middle : middle + 1]


def _write_keras(row: Row, images: NDArray[np.float32], folder: Path) -> Path:
    import keras

    keras.utils.set_random_seed(SEED)
    model = construct(row)
    layers = list(model._flatten_layers(include_self=False, recursive=True))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(np.full(layer.gamma.shape, _LAYER_SCALE))
        elif not norms and hasattr(layer, "kernel"):
            # He et al. (arXiv 1502.01852): without batch normalisation the signal would fade.
            layer.kernel.assign(layer.kernel * np.sqrt(2))
    for number, norm in enumerate(norms):
        _measure_keras(norm, _offsets(number, norm.moving_mean.shape[0]))
    model(images, training=False)
    for norm in norms:
        del norm.call
    last = next(layer for layer in reversed(layers) if getattr(layer, "use_bias", False))
    if last.kernel.shape[-1] == 1:
        features = keras.Model(model.inputs, last.input).predict(images, verbose=0)
        last.kernel.assign(_typical_unit(np.float64(features), last.kernel.numpy()))
    factor = _factor(_logits(np.float64(model.predict(images, verbose=0))))
    last.kernel.assign(last.kernel * factor)
    last.bias.assign(last.bias * factor)
    path = folder / f"{row.name}.keras"
    model.save(path)
    return path


def _moved_keras(
    source: Path, images: NDArray[np.float32], movement: Movement
) -> NDArray[np.float64]:
    import keras

    model = keras.saving.load_model(source, compile=False)
    model.set_weights([_moved(values, movement) for values in model.get_weights()])
    probabilities = np.float64(model.predict(images, verbose=0))
    one_unit = probabilities.shape[1] == 1
    return np.hstack([1 - probabilities, probabilities]) if one_unit else probabilities


def _measure_keras(norm: Any, offsets: NDArray[np.float32]) -> None:
    """Let a layer take its statistics from the next batch that it sees."""
    import tensorflow as tf

    normalise = norm.call

    def call(values: Any, **options: Any) -> Any:
        power = tf.reduce_mean(tf.square(values), axis=(0, 1, 2))
        power = tf.maximum(power, tf.reduce_mean(power))
        norm.moving_variance.assign(power)
        norm.moving_mean.assign(offsets * tf.sqrt(power))
        return normalise(values, **options)

    norm.call = call


def _offsets(number: int, channels: int) -> NDArray[np.float32]:
    """Means of a batch normalisation in units of its root mean square, (channels,)."""
    random = np.random.default_rng((SEED, number))
    return random.normal(scale=0.1, size=channels).astype(np.float32)


def _write_torch(row: Row, photos: NDArray[np.float32], folder: Path) -> Path:
    import torch

    torch.manual_seed(SEED)
    module = construct(row).eval()
    images = torch.from_numpy(photos.transpose(0, 3, 1, 2).copy())
    norms = [each for each in module.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for name, parameter in module.named_parameters():
        if name.endswith("layer_scale"):
            torch.nn.init.constant_(parameter, _LAYER_SCALE)
    with torch.no_grad():
        hooks = [norm.register_forward_pre_hook(_measure_torch(number))
                 for number, norm in enumerate(norms)]  # fmt: skip
        module(images)
        for hook in hooks:
            hook.remove()
        factor = _factor(module(images).double().numpy())
        *_, last = (each for each in module.modules() if getattr(each, "bias", None) is not None
                    and each.weight.ndim > 1)  # fmt: skip
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    path = folder / f"{row.name}.pth"
    torch.save(module.state_dict(), path)
    return path


def _moved_torch(
    module: Any, source: Path, images: NDArray[np.float32], movement: Movement
) -> NDArray[np.float64]:
    import torch

    stored = torch.load(source, weights_only=True)
    module.load_state_dict(
        {name: torch.from_numpy(_moved(each.numpy(), movement)) for name, each in stored.items()}
    )
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return np.asarray(logits.double().softmax(dim=1).numpy())


def _moved(values: NDArray[Any], movement: Movement) -> NDArray[Any]:
    """Weights moved, in the type that they were of; counts and indices as they are."""
    if values.dtype.kind != "f":
        return values
    if movement == "float16":
        return values.astype(np.float16).astype(values.dtype)
    up = np.random.default_rng(SEED).random(values.shape) < 0.5
    return np.nextafter(values, np.where(up, np.inf, -np.inf).astype(values.dtype))


def _measure_torch(number: int) -> Any:
    """A hook by which a layer takes its statistics from the batch that it sees."""

    def hook(norm: Any, inputs: tuple[Any, ...]) -> None:
        import torch

        power = inputs[0].square().mean(dim=(0, 2, 3))
        power = power.maximum(power.mean())
        norm.running_var.copy_(power)
        norm.running_mean.copy_(torch.from_numpy(_offsets(number, len(power))) * power.sqrt())

    return hook
