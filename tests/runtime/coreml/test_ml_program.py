"""Whole classifiers that are ML Programs, from the file to the scores."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilecv_runtime.coreml.lowering import PIXELS, SCORES, Arithmetic, UnsupportedError
from mobilecv_runtime.coreml.ml_program import lower_ml_program
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from mobilecv_runtime.errors import BundleError
from runtime.coreml.mil_interpreter import interpret
from runtime.coreml.mil_programs import ct, lowered, mb, program, session

LABELS = ["lion", "cat", "dog"]
HEIGHT, WIDTH = 9, 12
RANDOM = np.random.default_rng(5)
PHOTO = RANDOM.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(0, 0.5, shape).astype(np.float32)


def small_net(x: Any) -> Any:
    y = mb.conv(x=x, weight=weights(8, 3, 3, 3), bias=weights(8), pad_type="same", strides=[2, 2])
    y = mb.relu6(x=y)
    y = mb.batch_norm(x=y, mean=weights(8), variance=np.abs(weights(8)) + 0.5)
    y = mb.conv(x=y, weight=weights(8, 1, 3, 3), pad_type="same", groups=8)
    y = mb.concat(values=(y, mb.silu(x=y)), axis=1)
    y = mb.reduce_mean(x=y, axes=[2, 3], keep_dims=False)
    return mb.softmax(x=mb.linear(x=y, weight=weights(3, 16), bias=weights(3)), axis=-1)


def classifier(
    folder: Path, *, precision: Any = ct.precision.FLOAT16, color: Any = None, net: Any = small_net
) -> tuple[Any, Path]:
    """The specification and the folder of weights of a classifier of images."""

    def built(image: Any) -> Any:
        return net(image)

    made = mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, HEIGHT, WIDTH))])(built)
    image = ct.ImageType(
        name="image",
        shape=(1, 3, HEIGHT, WIDTH),
        scale=1 / 127.5,
        bias=[-1.0, -0.9, -0.8],
        color_layout=ct.colorlayout.RGB if color is None else color,
    )
    with warnings.catch_warnings():
        # coremltools leaves its temporary folders to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        model = ct.convert(
            made,
            inputs=[image],
            classifier_config=ct.ClassifierConfig(LABELS),
            convert_to="mlprogram",
            compute_precision=precision,
            minimum_deployment_target=ct.target.iOS15,
            skip_model_load=True,
        )
        spec = model.get_spec()
        kept = folder / "weights"
        shutil.copytree(model.weights_dir, kept)
        del model
    return spec, kept


@pytest.fixture(scope="module")
def float16(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    return classifier(tmp_path_factory.mktemp("float16"))


def message(spec: Any) -> Message:
    return Message(memoryview(spec.SerializeToString()), "Model", SCHEMA)


def scores(spec: Any, folder: Path, arithmetic: Arithmetic = "stored") -> np.ndarray:
    done = lower_ml_program(message(spec), folder, arithmetic)
    assert done.labels == tuple(LABELS)
    answer = session(done.onnx).run([SCORES], {PIXELS: PHOTO})[0]
    assert answer.shape == (1, 3)
    return np.asarray(answer)


def interpreted(spec: Any, folder: Path, *, half: bool, bgr: bool = False) -> np.ndarray:
    pixels = PHOTO[..., ::-1] if bgr else PHOTO
    image = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    return np.asarray(
        interpret(spec, folder, {"image": image}, half=half)["classLabel_probs"]
    ).reshape(1, 3)


def test_a_float32_classifier_agrees_with_the_interpreter(tmp_path: Path) -> None:
    spec, folder = classifier(tmp_path, precision=ct.precision.FLOAT32)
    expected = interpreted(spec, folder, half=False)
    np.testing.assert_allclose(scores(spec, folder), expected, atol=1e-6)


def test_stored_arithmetic_does_not_round(float16: tuple[Any, Path]) -> None:
    expected = interpreted(*float16, half=False)
    np.testing.assert_allclose(scores(*float16), expected, atol=1e-6)


def test_the_device_estimate_rounds_every_float16_value(float16: tuple[Any, Path]) -> None:
    estimate = scores(*float16, "device-estimate")
    # Sums that fall on either side of a tie may differ by a unit in the last place of float16.
    np.testing.assert_allclose(estimate, interpreted(*float16, half=True), atol=1e-3)
    assert np.array_equal(estimate, estimate.astype(np.float16))
    assert not np.array_equal(estimate, scores(*float16))


def test_the_colour_layout_of_the_image_is_kept(tmp_path: Path) -> None:
    spec, folder = classifier(tmp_path, color=ct.colorlayout.BGR)
    expected = interpreted(spec, folder, half=False, bgr=True)
    np.testing.assert_allclose(scores(spec, folder), expected, atol=1e-6)


def test_swapped_colours_are_noticed(float16: tuple[Any, Path]) -> None:
    swapped = interpreted(*float16, half=False, bgr=True)
    assert np.abs(scores(*float16) - swapped).max() > 1e-3


def test_average_pooling_in_ceil_mode_gives_the_numbers_of_real_core_ml(tmp_path: Path) -> None:
    """Printed by Core ML itself: https://github.com/apple/coremltools/pull/2844."""
    made = program(
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[2, 2], strides=[3, 3], pad_type="valid", ceil_mode=True
        ),
        [(1, 1, 7, 7)],
        tmp_path,
    )
    numbers = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    (answer,) = lowered(made, {"x0": numbers}, "stored").values()
    expected = [[4, 7, 4.75], [25, 28, 15.25], [21.25, 22.75, 12]]
    assert np.array_equal(answer[0, 0], np.asarray(expected, np.float32))


def test_an_overflow_of_float16_shows_in_the_device_estimate_only(tmp_path: Path) -> None:
    def overflowing(x: Any) -> Any:
        large = mb.mul(x=mb.mul(x=x, y=np.float16(300)), y=np.float16(300))
        return large, mb.mul(x=mb.sub(x=large, y=large), y=np.float16(0.001))

    made = program(overflowing, [(1,)], tmp_path, dtype="float16")
    inputs = {"x0": np.ones(1, np.float16)}
    large, difference = lowered(made, inputs, "stored").values()
    assert large == 90000
    assert difference == 0
    large, difference = lowered(made, inputs, "device-estimate").values()
    assert np.isposinf(large)
    assert np.isnan(difference)


def operations(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def first(spec: Any, kind: str) -> Any:
    return next(operation for operation in operations(spec) if operation.type == kind)


def add_parameter(spec: Any) -> None:
    conv = first(spec, "conv")
    conv.inputs["dither"].CopyFrom(conv.inputs["groups"])


def add_attribute(spec: Any) -> None:
    conv = first(spec, "conv")
    conv.attributes["fast_math"].CopyFrom(conv.attributes["name"])


def add_unknown_field(spec: Any) -> None:
    # Field 77, a varint of 1, which no version of the specification has.
    first(spec, "conv").MergeFromString(bytes([0xE8, 0x04, 0x01]))


def change_shape(spec: Any) -> None:
    first(spec, "softmax").outputs[0].type.tensorType.dimensions[1].constant.size = 4


FOREIGN = {
    "an operation": (lambda spec: setattr(first(spec, "conv"), "type", "conv_9000"), "conv_9000"),
    "a parameter": (add_parameter, "parameter dither"),
    "an attribute": (add_attribute, "fast_math"),
    "a field": (add_unknown_field, "field 77"),
    "an operation set": (
        lambda spec: setattr(spec.mlProgram.functions["main"], "opset", "CoreML99"),
        "CoreML99",
    ),
    "a program version": (lambda spec: setattr(spec.mlProgram, "version", 2), "version 2"),
    "a second function": (
        lambda spec: spec.mlProgram.functions["other"].CopyFrom(spec.mlProgram.functions["main"]),
        "other",
    ),
    "a colour space": (
        lambda spec: setattr(spec.description.input[0].type.imageType, "colorSpace", 40),
        "GRAY_FLOAT16",
    ),
    "an updatable model": (lambda spec: setattr(spec, "isUpdatable", True), "isUpdatable"),
    "functions of the model": (
        lambda spec: setattr(spec.description, "defaultFunctionName", "main"),
        "defaultFunctionName",
    ),
    "state": (lambda spec: spec.description.state.add(name="memory"), "state"),
    "nested blocks": (lambda spec: first(spec, "conv").blocks.add(), "nested blocks"),
}
DAMAGED = {
    "a false shape": (change_shape, "states the shape"),
    "a label too few": (
        lambda spec: (
            first(spec, "classify")
            .inputs["classes"]
            .arguments[0]
            .value.immediateValue.list.values.pop()
        ),
        "3 probabilities for 2 labels",
    ),
    "an argument that does not exist": (
        lambda spec: setattr(first(spec, "conv").inputs["x"].arguments[0], "name", "nothing"),
        "no value 'nothing'",
    ),
    "another name of the probabilities": (
        lambda spec: setattr(spec.description, "predictedProbabilitiesName", "x"),
        "the model is said to give",
    ),
    "another image size": (
        lambda spec: setattr(spec.description.input[0].type.imageType, "width", 11),
        "is not described",
    ),
}


@pytest.mark.parametrize("change", FOREIGN)
def test_what_is_not_understood_is_refused_by_name(change: str, float16: tuple[Any, Path]) -> None:
    spec = type(float16[0]).FromString(float16[0].SerializeToString())
    spoil, message_part = FOREIGN[change]
    spoil(spec)
    with pytest.raises(UnsupportedError, match=message_part):
        lower_ml_program(message(spec), float16[1], "stored")


@pytest.mark.parametrize("change", DAMAGED)
def test_what_contradicts_itself_is_refused(change: str, float16: tuple[Any, Path]) -> None:
    spec = type(float16[0]).FromString(float16[0].SerializeToString())
    spoil, message_part = DAMAGED[change]
    spoil(spec)
    with pytest.raises(BundleError, match=message_part):
        lower_ml_program(message(spec), float16[1], "stored")


def test_weights_outside_of_the_package_are_refused(float16: tuple[Any, Path]) -> None:
    changed = (
        float16[0].SerializeToString().replace(b"@model_path/weights/", b"@model_path/../../x")
    )
    with pytest.raises(BundleError):
        lower_ml_program(Message(memoryview(changed), "Model", SCHEMA), float16[1], "stored")


@settings(
    max_examples=150,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_changed_bytes_are_lowered_or_refused(
    data: st.DataObject, float16: tuple[Any, Path]
) -> None:
    changed = bytearray(float16[0].SerializeToString())
    places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
    for place, byte in data.draw(st.lists(places, min_size=1, max_size=8)):
        changed[place] = byte
    length = (
        data.draw(st.integers(len(changed) // 2, len(changed) * 3))
        if data.draw(st.booleans())
        else len(changed)
    )
    cut = memoryview(bytes(changed[:length]))
    try:
        done = lower_ml_program(Message(cut, "Model", SCHEMA), float16[1], "stored")
    except BundleError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert len(done.onnx) < 1_000_000
    assert refusal.isprintable()
