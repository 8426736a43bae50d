from __future__ import annotations

import numpy as np
import pytest

from mobilecv_runtime.errors import BundleError, LabelsError, UsageError
from mobilecv_runtime.spec import (
    PRESETS,
    Contract,
    Head,
    ImageInput,
    Labels,
    Preprocessing,
    from_mean_std,
)

PIXELS = np.array([[[[0, 127, 255]]]], np.uint8)


def contract(**changes: object) -> Contract:
    parts = {
        "image": ImageInput(height=2, width=3, channels=3),
        "preprocessing": Preprocessing(),
        "head": Head(),
        "labels": Labels(("cat", "dog")),
    }
    return Contract(**{**parts, **changes})


def test_the_default_maps_bytes_to_minus_one_and_one() -> None:
    assert Preprocessing().apply(PIXELS).ravel().tolist() == pytest.approx(
        [-1, 127 / 127.5 - 1, 1], abs=1e-6
    )


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("unit", [0, 127 / 255, 1]),
        ("raw", [0, 127, 255]),
        ("torch", [-0.485 / 0.229, (127 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        ("caffe", [255 - 103.939, 127 - 116.779, 0 - 123.68]),
    ],
)
def test_each_preset_is_what_its_framework_computes(preset: str, values: list[float]) -> None:
    assert PRESETS[preset].apply(PIXELS).ravel().tolist() == pytest.approx(values, abs=1e-4)


def test_mean_and_std_of_either_pixel_range_mean_the_same() -> None:
    unit = from_mean_std([0.5], [0.25], pixel_range=1, color="RGB")
    bytes_ = from_mean_std([127.5], [63.75], pixel_range=255, color="RGB")
    assert unit.scale == pytest.approx(bytes_.scale)
    assert unit.bias == pytest.approx(bytes_.bias)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": (1.0, 2.0)}, "scale has 2 values"),
        ({"scale": (0.0,)}, "a scale of 0"),
        ({"bias": (float("nan"),)}, "not finite"),
        ({"color": "GRAY", "bias": (1.0, 2.0, 3.0)}, "a GRAY image has 1 channel"),
    ],
)
def test_impossible_preprocessing_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Preprocessing(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 0, "width": 3}, "at least 1"),
        ({"height": 2, "width": 3, "crop_fraction": 0.0}, "above 0"),
        ({"height": 2, "width": 3, "fit": "pad", "crop_fraction": 0.5}, "goes with fit 'crop'"),
    ],
)
def test_an_impossible_image_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImageInput(channels=3, **arguments)


def test_logits_get_a_softmax_that_survives_large_values() -> None:
    scores = Head(kind="logits").apply(np.array([[1000.0, 1001.0]], np.float32))
    assert scores.ravel().tolist() == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e)])


def test_one_sigmoid_unit_speaks_of_the_second_label() -> None:
    scores = Head(kind="sigmoid").apply(np.array([[0.75]], np.float32))
    assert scores.tolist() == [[0.25, 0.75]]


def test_a_byte_order_mark_and_windows_line_ends_are_dropped() -> None:
    assert Labels.parse(b"\xef\xbb\xbfcat\r\ndog\r\n", origin="x").names == ("cat", "dog")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no labels"),
        (b"\n\n", "no labels"),
        (b"cat\n\ndog\n", "label 2 is empty"),
        (b"cat\ndog\ncat\n", "'cat' stands more than once"),
        (b"caf\xe9\n", "not UTF-8"),
    ],
)
def test_unusable_labels_are_refused_with_their_file(data: bytes, message: str) -> None:
    with pytest.raises(LabelsError, match=message) as caught:
        Labels.parse(data, origin="labels.txt")
    assert str(caught.value).startswith("labels.txt")


def test_labels_survive_the_file() -> None:
    labels = Labels(("pigmented nevus", "日光性角化症", "Café au lait"))
    assert Labels.parse(labels.to_bytes(), origin="x") == labels


def test_a_contract_survives_json() -> None:
    made = contract(
        image=ImageInput(height=5, width=4, channels=3, crop_fraction=0.875, resample="bicubic"),
        preprocessing=PRESETS["torch"],
        head=Head(kind="logits"),
    )
    assert Contract.from_json(made.to_json(), made.labels) == made


@pytest.mark.parametrize("key", ["image", "preprocessing", "head"])
def test_a_damaged_contract_is_a_bundle_error(key: str) -> None:
    data = contract().to_json()
    for broken in ({**data, key: None}, {**data, key: {}}, {**data, key: 7}):
        with pytest.raises(BundleError, match="contract is damaged"):
            Contract.from_json(broken, Labels(("a",)))


def test_a_gray_model_and_colour_preprocessing_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="--color GRAY"):
        contract(image=ImageInput(height=2, width=3, channels=1))


def test_a_preprocessing_is_described_as_people_write_it() -> None:
    assert Preprocessing().describe() == "RGB, scale 1/127.5, bias -1"
