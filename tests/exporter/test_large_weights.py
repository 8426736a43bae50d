from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv.captures import Capture
from mobilecv.targets import TARGETS, Job, large_kernels, tflite_large_weights
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels

IMAGE = ImageInput(height=8, width=8, channels=3)


def plain() -> Any:
    """Dense layers, one of them square: its layout does not show in its shape."""
    import keras

    layers = keras.layers
    image = keras.Input(IMAGE.shape)
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Dense(24, activation="relu")(x)
    x = layers.Dense(24, activation="tanh")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


def folded() -> Any:
    """A dense layer whose weights the converter multiplies by a normalisation's."""
    import keras

    layers = keras.layers
    image = keras.Input(IMAGE.shape)
    x = layers.Dense(24)(layers.Flatten()(image))
    x = layers.BatchNormalization()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax")(layers.ReLU()(x)))
    random = np.random.default_rng(0)
    normalisation = model.layers[3]
    normalisation.set_weights([random.uniform(0.5, 2, 24).astype(np.float32) for _ in range(4)])
    return model


Converter = Callable[[str], bytes]


@pytest.fixture(params=[plain, folded], ids=["plain", "folded"])
def convert(request: pytest.FixtureRequest, tmp_path: Path) -> Converter:
    """Converts a network to a target."""
    import keras

    from mobilecv.sources import SourceSession, wrap_model

    keras.utils.set_random_seed(0)
    model = SourceSession(wrap_model(request.param()))
    capture: Capture = model.capture(tmp_path / "graph", IMAGE.shape)
    numbers = itertools.count()

    def call(target: str) -> bytes:
        output = tmp_path / f"{next(numbers)}{TARGETS[target].suffix}"
        contract = Contract(
            image=IMAGE,
            preprocessing=PRESETS["tf"],
            head=Head(kind="softmax"),
            labels=Labels.numbered(5),
        )
        job = Job(
            name="net",
            contract=contract,
            capture=capture,
            base=None,
            calibration=None,
            output=output,
        )
        TARGETS[target].convert(job)
        return output.read_bytes()

    return call


def test_kernels_that_go_around_the_converter_give_the_same_tflite_file(
    convert: Converter, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    expected = convert("tflite")
    filled: list[bool] = []
    put_back = tflite_large_weights.put_back

    def noted(*arguments: Any) -> bytes | None:
        result = put_back(*arguments)
        filled.append(result is not None)
        return result

    monkeypatch.setattr(tflite_large_weights, "put_back", noted)
    monkeypatch.setattr(large_kernels, "LARGE", 256)
    assert convert("tflite") == expected
    # What was computed with is converted once more, as it is.
    assert filled == ["plain" in request.node.name]


def test_kernels_that_go_around_the_converter_give_the_same_onnx_answers(
    convert: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    photos = np.random.default_rng(0).integers(0, 256, (4, *IMAGE.shape), np.uint8)

    def answers() -> Any:
        session = onnxruntime.InferenceSession(convert("onnx"))
        return session.run(None, {"image": photos})[0]

    expected = answers()
    monkeypatch.setattr(large_kernels, "LARGE", 256)
    np.testing.assert_allclose(answers(), expected, atol=1e-6)
