from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from conversions import Conversions
from mobilecv.targets import onnx_from_tensorflow
from mobilecv_runtime.errors import ConversionError


def network() -> Any:
    """Every kernel is transposed, and the normalisation is folded into one of them."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same")(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Conversions:
    return Conversions(network(), tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def with_copies(conversions: Conversions) -> bytes:
    """The file as tf2onnx makes it when it is left to itself."""
    converted = onnx_from_tensorflow._converted

    def copying(*arguments: Any, **_: bool) -> Any:
        return converted(*arguments, in_place=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_from_tensorflow, "_weights_left_alone", nullcontext)
        patch.setattr(onnx_from_tensorflow, "_converted", copying)
        return conversions.convert("onnx").read_bytes()


def test_optimised_in_place_the_file_is_the_same(
    conversions: Conversions, with_copies: bytes
) -> None:
    assert conversions.convert("onnx").read_bytes() == with_copies


def test_tf2onnx_has_what_is_replaced() -> None:
    from tf2onnx.graph import Node

    untouched = Node.update_proto
    with onnx_from_tensorflow._weights_left_alone():
        assert Node.update_proto is not untouched
    assert Node.update_proto is untouched


def test_a_pass_that_fails_is_left_out(
    conversions: Conversions, with_copies: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tf2onnx.optimizer

    calls: list[Any] = []

    class Failing:
        graph_been_opt = False

        def optimize(self, graph: Any, iteration: int) -> Any:
            graph.outputs.clear()
            calls.append(iteration)
            raise ValueError("this pass fails")

    monkeypatch.setitem(tf2onnx.optimizer._optimizers, "failing", Failing)
    assert conversions.convert("onnx").read_bytes() == with_copies
    assert len(calls) > 1


def test_what_cannot_be_converted_is_not_tried_twice(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def refuse(*_: object) -> None:
        calls.append(1)
        raise ValueError("no such operation")

    monkeypatch.setattr(onnx_from_tensorflow, "_network", refuse)
    with pytest.raises(ConversionError, match="no such operation"):
        conversions.convert("onnx")
    assert calls == [1]


def test_a_free_batch_is_called_so(with_copies: bytes) -> None:
    import onnx

    graph = onnx.load_from_string(with_copies).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
