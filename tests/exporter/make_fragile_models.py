"""Makes float networks that plain int8 breaks: `python make_fragile_models.py FOLDER`.

All are the demo model in another shape, without training: ReLU in the place of ReLU6, and channels
or scores moved so that the answers stay what they were. Each is written as `.h5`, and as the float
`.tflite` that int8 starts from, some as `.onnx` too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import keras
import numpy as np

from mobilecv.captures import Capture
from mobilecv.conversion import Converter
from mobilecv.sources import SourceSession, wrap_model
from mobilecv.targets import TARGETS, Job
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels

layers = keras.layers
_DIGITS: Final = Path(__file__).parents[2] / "models" / "digits.h5"


def _folded() -> dict[str, list[np.ndarray]]:
    """The demo model's kernels and biases by the names used here, normalisations folded in."""
    model = keras.models.load_model(_DIGITS, compile=False)
    names = ("first", "depthwise1", "point1", "depthwise2", "point2", "depthwise3", "point3")
    kernels = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    ]
    norms = [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
    folded = {}
    for name, layer, norm in zip(names, kernels, norms, strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        (kernel,) = layer.get_weights()
        shape = (-1, 1) if name.startswith("depthwise") else (-1,)
        folded[name] = [kernel * scale.reshape(shape), beta - mean * scale]
    folded["scores"] = model.layers[-1].get_weights()
    return folded


def _build(
    weights: dict[str, list[np.ndarray]],
    squeeze: int = 0,
    *,
    halved: bool = False,
    activation: str = "relu",
) -> keras.Model:
    """The demo network without normalisations.

    Args:
        weights: Kernel and bias of every layer.
        squeeze: The units of a squeeze-and-excite; 0 for none.
        halved: Whether the residual sum is halved, by a layer through which nothing is equalised.
        activation: Of the first layer; the gate of the squeeze-and-excite goes with it.
    """
    gating = "sigmoid" if activation == "swish" else "hard_sigmoid"
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", name="first", activation=activation)(image)
    x = _block(x, 32, 1)
    shortcut = x
    x = layers.Add()([_block(x, 32, 2), shortcut])
    if halved:
        x = layers.Rescaling(0.5)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise3", activation="relu")(x)
    if squeeze:
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(squeeze, 1, name="squeeze", activation="relu")(gate)
        gate = layers.Conv2D(32, 1, name="excite", activation=gating)(gate)
        x = layers.Multiply()([x, gate])
    x = layers.Conv2D(64, 1, name="point3", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, activation="softmax", name="scores")(x)
    model = keras.Model(image, x)
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)
    return model


def _block(x: keras.KerasTensor, filters: int, number: int) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{number}", activation="relu")(x)
    return layers.Conv2D(filters, 1, name=f"point{number}", activation="relu")(x)


def _scale(weights: dict[str, list[np.ndarray]], first: str, factors: np.ndarray) -> None:
    """Multiply a layer's output channels."""
    kernel, bias = weights[first]
    shape = (-1, 1) if first.startswith("depthwise") else (-1,)
    weights[first] = [kernel * factors.reshape(shape), bias * factors]


def _unscale(weights: dict[str, list[np.ndarray]], second: str, factors: np.ndarray) -> None:
    """Divide a layer's input channels."""
    kernel, bias = weights[second]
    weights[second] = [kernel / factors.reshape((-1, 1)), bias]


def _badly_scaled() -> keras.Model:
    """Channels of one tensor are up to a thousand times larger than others."""
    weights, random = _folded(), np.random.default_rng(0)
    for first, second in (("first", "depthwise1"), ("depthwise1", "point1"),
                          ("depthwise2", "point2"), ("depthwise3", "point3"),
                          ("point3", "scores")):  # fmt: skip
        factors = 10 ** random.uniform(0, 3, len(weights[first][1])).astype(np.float32)
        _scale(weights, first, factors)
        _unscale(weights, second, factors)
    return _build(weights)


def _outlier(*, halved: bool = False) -> keras.Model:
    """One channel of the residual sum is five hundred times larger than the others."""
    weights, factors = _folded(), np.ones(32, np.float32)
    factors[5] = 500
    _scale(weights, "point1", factors)
    _scale(weights, "point2", factors)
    _unscale(weights, "depthwise2", factors)
    _unscale(weights, "depthwise3", factors / 2 if halved else factors)
    return _build(weights, halved=halved)


def _hopeless() -> keras.Model:
    """The same outlier where no step reaches it: its makers do too much of the work for float."""
    return _outlier(halved=True)


def _offset() -> keras.Model:
    """All logits have five thousand in common, which a softmax does not see."""
    weights = _folded()
    kernel, bias = weights["scores"]
    weights["scores"] = [kernel, bias + 5000]
    return _build(weights)


def _hard_swish() -> keras.Model:
    """Hard-swish, as in MobileNetV3."""
    return _gated("hard_swish")


def _swish() -> keras.Model:
    """Swish, as in EfficientNet."""
    return _gated("swish")


def _gated(activation: str) -> keras.Model:
    """A gate whose hidden units differ a thousandfold, and a common offset."""
    weights, random = _folded(), np.random.default_rng(1)
    hidden = random.normal(0, 0.3, (1, 1, 32, 8)).astype(np.float32)
    weights["squeeze"] = [hidden, np.zeros(8, np.float32)]
    gates = random.normal(0, 0.5, (1, 1, 8, 32)).astype(np.float32)
    weights["excite"] = [gates, np.full(32, 1, np.float32)]
    factors = 10 ** random.uniform(0, 3, 8).astype(np.float32)
    _scale(weights, "squeeze", factors)
    _unscale(weights, "excite", factors)
    weights["point3"][0] = weights["point3"][0] * 1.5
    kernel, bias = weights["scores"]
    weights["scores"] = [kernel, bias + 3000]
    return _build(weights, squeeze=8, activation=activation)


MAKERS: Final[dict[str, Callable[[], keras.Model]]] = {
    "badly-scaled": _badly_scaled,
    "outlier": _outlier,
    "offset": _offset,
    "hard-swish": _hard_swish,
    "swish": _swish,
    "hopeless": _hopeless,
}


IN_ONNX: Final = ("badly-scaled", "hard-swish", "swish", "hopeless")
"""The rest would tell nothing more there."""


def _convert(name: str, model: keras.Model, folder: Path) -> None:
    image = ImageInput(height=32, width=32, channels=3)
    contract = Contract(
        image=image,
        preprocessing=PRESETS["tf"],
        head=Head(kind="softmax"),
        labels=Labels.numbered(10),
    )
    with tempfile.TemporaryDirectory() as work:
        session = SourceSession(wrap_model(model))
        capture: Capture = session.capture(Path(work, "graph"), image.shape)
        for target in ("tflite", "onnx") if name in IN_ONNX else ("tflite",):
            output = folder / TARGETS[target].file_name(name)
            job = Job(
                name=name,
                contract=contract,
                capture=capture,
                base=None,
                calibration=None,
                output=output,
            )
            Converter().convert(target, job)


def main(folder: Path) -> None:
    for name, make in MAKERS.items():
        model = make()
        model.save(folder / f"{name}.h5", include_optimizer=False)
        _convert(name, model, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
