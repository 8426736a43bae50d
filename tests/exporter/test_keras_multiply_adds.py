from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mobilecv.sources.keras.inspection import inspect_keras
from mobilecv.sources.keras.multiply_adds import keras_census
from tests_shared import DIGITS


def layer(kind: str, name: str, reads: str | None = None, **config: Any) -> dict[str, Any]:
    """A layer in the spelling of Keras 2; `reads` names the layers before it."""
    nodes = [[[source, 0, 0, {}] for source in reads.split()]] if reads else []
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


def conv(name: str, reads: str, filters: int, **changes: Any) -> dict[str, Any]:
    config = {"filters": filters, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
    return layer("Conv2D", name, reads, **{**config, **changes})


def functional(*layers: dict[str, Any], size: int | None = 8) -> dict[str, Any]:
    image = layer("InputLayer", "image", batch_input_shape=[None, size, size, 3])
    return {"class_name": "Model", "config": {"layers": [image, *layers]}}


def test_the_demo_model_has_the_figures_of_its_artifacts() -> None:
    """764,544 is what the `.tflite` and the `.onnx` made from it have, too."""
    found = inspect_keras(DIGITS)
    assert found.census is not None
    assert found.census.multiply_adds == 764_544
    assert found.census.parameters == found.parameters
    assert not found.census.uncounted


def test_a_residual_network_in_the_spelling_of_keras_2() -> None:
    census = keras_census(
        functional(
            conv("a", "image", 4),
            layer("BatchNormalization", "norm", "a"),
            conv("b", "norm", 4, use_bias=False),
            layer("Add", "sum", "b norm"),
            layer("MaxPooling2D", "pool", "sum", pool_size=[3, 3], strides=[2, 2], padding="valid"),
            layer("Flatten", "flat", "pool"),
            layer("Dense", "out", "flat", units=5),
        )
    )
    first, second, dense = 8 * 8 * 27 * 4, 8 * 8 * 36 * 4, 3 * 3 * 4 * 5
    assert [each.multiply_adds for each in census.layers] == [first, 0, second, 0, 0, 0, dense]
    assert census.parameters == (27 * 4 + 4) + 4 * 4 + 36 * 4 + (36 * 5 + 5)
    plane = 8 * 8 * 4 * 4
    assert census.peak_activation_bytes == 3 * plane


@pytest.mark.parametrize(
    ("changes", "height"),
    [({"strides": [2, 2]}, 4), ({"padding": "valid"}, 6),
     ({"padding": "valid", "dilation_rate": [2, 2]}, 4),
     ({"padding": "valid", "strides": [3, 3]}, 2)],
)  # fmt: skip
def test_windows_of_every_kind(changes: dict[str, Any], height: int) -> None:
    (found,) = keras_census(functional(conv("a", "image", 2, **changes))).layers
    assert found.output_bytes == 4 * height * height * 2
    assert found.multiply_adds == height * height * 27 * 2


def test_depthwise_and_separable_convolutions_and_groups() -> None:
    shared = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "depth_multiplier": 2}
    census = keras_census(
        functional(
            layer("DepthwiseConv2D", "a", "image", **shared),
            layer("SeparableConv2D", "b", "a", filters=5, **shared),
            conv("c", "a", 6, groups=3),
        )
    )
    plane = 8 * 8
    assert [each.multiply_adds for each in census.layers] == [
        plane * 9 * 6, plane * (9 * 12 + 12 * 5), plane * 9 * 2 * 6,
    ]  # fmt: skip
    assert [each.parameters for each in census.layers] == [
        9 * 6 + 6, 9 * 12 + 12 * 5 + 5, 9 * 2 * 6 + 6,
    ]  # fmt: skip


def test_a_sequential_model_that_is_a_list_with_a_model_inside() -> None:
    inner = functional(conv("a", "image", 4))
    listed = [
        {"class_name": "ReLU", "config": {"batch_input_shape": [None, 8, 8, 3]}},
        inner,
        {"class_name": "GlobalAveragePooling2D", "config": {"name": "mean"}},
        {"class_name": "Dense", "config": {"name": "out", "units": 3}},
    ]
    census = keras_census({"class_name": "Sequential", "config": listed})
    assert census.multiply_adds == 8 * 8 * 27 * 4 + 4 * 3
    assert not census.uncounted


def test_the_spelling_of_keras_3() -> None:
    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    convolution, total = conv("a", "image", 3), layer("Add", "sum")
    convolution["inbound_nodes"] = [{"args": [tensor("image")], "kwargs": {}}]
    total["inbound_nodes"] = [{"args": [[tensor("a"), tensor("image")]], "kwargs": {}}]
    census = keras_census(functional(convolution, total))
    image = 8 * 8 * 3 * 4
    assert census.peak_activation_bytes == 3 * image


def test_what_cannot_be_followed_is_named_and_never_guessed() -> None:
    census = keras_census(
        functional(conv("a", "image", 4), layer("Mine", "b", "a"), conv("c", "b", 4))
    )
    assert census.uncounted == {"Mine": 1, "Conv2D": 1}
    assert census.multiply_adds == 8 * 8 * 27 * 4


def test_the_words_of_keras_1_and_models_in_code_are_not_understood_but_named() -> None:
    old = functional(layer("Dense", "out", "image", output_dim=4))
    assert keras_census(old).uncounted == {"Dense": 1}
    assert keras_census({"class_name": "MyModel", "config": {}}).uncounted == {"MyModel": 1}


def test_an_image_of_any_size_is_counted_once_its_size_is_known() -> None:
    config = functional(conv("a", "image", 4), size=None)
    assert keras_census(config).uncounted == {"Conv2D": 1}
    assert keras_census(config, (8, 8)).multiply_adds == 8 * 8 * 27 * 4


def test_channels_first_is_not_mistaken_for_channels_last() -> None:
    config = functional(conv("a", "image", 4, data_format="channels_first"))
    assert keras_census(config).uncounted == {"Conv2D": 1}


def test_counting_starts_no_framework() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from mobilecv.sources.keras.inspection import inspect_keras\n"
        "inspect_keras(Path(sys.argv[1]))\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, DIGITS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
