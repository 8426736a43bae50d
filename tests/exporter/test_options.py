from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mobilecv.options import ModelOptions, Resolved, find_labels, parse_numbers, parse_size, resolve
from mobilecv.sources import SourceDescription, SuggestedInput
from mobilecv_runtime.errors import LabelsError, SourceError, UsageError
from mobilecv_runtime.spec import PRESETS

SOURCE = SourceDescription(
    framework="keras",
    height=8,
    width=6,
    channels=3,
    outputs=3,
    head="softmax",
    last_operation="Softmax",
    normalises=(),
    tools={},
)


def resolved(stated: ModelOptions, model: Path | None = None, **source: object) -> Resolved:
    return resolve(stated, dataclasses.replace(SOURCE, **source), find_labels(stated, model))


def test_what_nobody_stated_is_assumed_aloud() -> None:
    found = resolved(ModelOptions())
    assert found.contract.preprocessing == PRESETS["tf"]
    assert found.contract.labels.names == ("class_0", "class_1", "class_2")
    assert found.labels_origin == "numbered"
    assert [note.split(":")[0] for note in found.notes] == ["labels", "preprocessing"]


def test_what_is_stated_needs_no_note() -> None:
    found = resolved(ModelOptions(preset="tf", labels=("a", "b", "c")))
    assert found.notes == ()


def test_labels_beside_the_model_are_found(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    found = resolved(ModelOptions(), tmp_path / "model.h5")
    assert found.contract.labels.names == ("a", "b", "c")
    assert found.labels_origin == "labels.txt"


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (("background", "a", "b", "c"), "drop its 'background' line"),
        (("a", "b"), "is a 'background' line missing"),
        (("a",), "in the order of the outputs"),
    ],
)
def test_a_wrong_count_of_labels_is_an_error(names: tuple[str, ...], hint: str) -> None:
    with pytest.raises(LabelsError, match=f"the model has 3 outputs; .*{hint}"):
        resolved(ModelOptions(labels=names))


def test_a_sigmoid_unit_takes_two_labels() -> None:
    one = {"outputs": 1, "head": "sigmoid", "last_operation": "Sigmoid"}
    found = resolved(ModelOptions(labels=("cat", "dog")), **one)
    assert found.contract.head.kind == "sigmoid"
    with pytest.raises(LabelsError, match="a sigmoid model has two labels"):
        resolved(ModelOptions(labels=("dog",)), **one)


def test_logits_get_a_softmax_and_a_note() -> None:
    found = resolved(ModelOptions(), head="logits", last_operation="BiasAdd")
    assert found.contract.head.kind == "logits"
    assert any(note.startswith("head: the model ends in BiasAdd") for note in found.notes)


def test_an_unknown_head_is_not_guessed() -> None:
    with pytest.raises(SourceError, match=r"ends in Relu .* state one with --head"):
        resolved(ModelOptions(), head=None, last_operation="Relu")


@pytest.mark.parametrize(
    ("stated", "source", "message"),
    [
        ({"head": "logits"}, {}, "ends in a softmax already"),
        ({"head": "sigmoid"}, {}, "gives 3 values per image"),
        ({"head": "argmax"}, {}, "head 'argmax' is unknown"),
        ({"preset": "imagenet"}, {}, "preset 'imagenet' is unknown; choose from: tf, unit"),
        ({"preset": "raw", "scale": (1.0,)}, {}, "state the preprocessing once"),
        ({"bias": (1.0,)}, {}, "--bias needs --scale"),
        ({"mean": (1.0,)}, {}, "--mean and --std go together"),
        ({"mean": (123.0,), "std": (58.0,)}, {}, "--pixel-range 255"),
        ({"mean": (0.5,), "std": (0.5,), "pixel_range": 7.0}, {}, "expected 1 or 255"),
        ({"mean": (0.5,), "std": (0.0,)}, {}, "a std of 0"),
        ({"preset": "caffe", "color": "RGB"}, {}, "preset 'caffe' is BGR"),
        ({"preset": "torch"}, {"channels": 1}, "the model takes gray ones"),
        ({"color": "GRAY"}, {}, "the model takes 3 channels"),
        ({"color": "HSV"}, {}, "color 'HSV' is unknown"),
        ({"fit": "squash"}, {}, "fit 'squash' is unknown"),
        ({"size": (9, 9)}, {}, "fixed to 8x6"),
        ({}, {"height": None, "width": None}, "state one with --size"),
        ({}, {"normalises": ("rescaling",)}, "already normalises inside .*--preset raw"),
    ],
)
def test_contradictions_are_refused(stated: dict, source: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(ModelOptions(**stated), **source)


def test_a_model_that_normalises_inside_takes_raw_pixels() -> None:
    inside = {"normalises": ("rescaling",)}
    assert resolved(ModelOptions(preset="raw"), **inside).contract.preprocessing == PRESETS["raw"]
    forced = ModelOptions(preset="unit", force_preprocessing=True)
    assert resolved(forced, **inside).contract.preprocessing == PRESETS["unit"]


def test_a_gray_model_takes_the_gray_form_of_the_default() -> None:
    found = resolved(ModelOptions(), channels=1)
    assert found.contract.preprocessing.color == "GRAY"
    assert found.contract.image.channels == 1


def test_a_free_size_is_what_is_stated() -> None:
    image = resolved(ModelOptions(size=(20, 30)), height=None, width=None).contract.image
    assert (image.height, image.width) == (20, 30)


def test_toml_beside_the_model_is_read_and_flags_win(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "mobilecv.toml").write_text(
        'labels = "names.txt"\nscale = "1/255"\nbias = [0, 0, 0]\nfit = "pad"\nsize = 8\n'
    )
    beside = ModelOptions.beside(tmp_path / "model.h5")
    assert beside == ModelOptions(
        labels=tmp_path / "names.txt",
        scale=(1 / 255,),
        bias=(0.0, 0.0, 0.0),
        fit="pad",
        size=(8, 8),
    )
    merged = ModelOptions(preset="raw").over(beside)
    assert (merged.preset, merged.scale, merged.bias, merged.fit) == ("raw", None, None, "pad")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels", "not valid TOML"),
        ("scales = 1", "unknown key 'scales'; known are"),
        ("fit = 3", "a value of the wrong type"),
        ('scale = "a/b"', "expected a number"),
    ],
)
def test_a_wrong_toml_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mobilecv.toml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        ModelOptions.beside(tmp_path / "model.h5")
    assert "mobilecv.toml" in str(caught.value)


def test_numbers_may_be_fractions() -> None:
    assert parse_numbers("1/127.5,2,-3e-1", "--scale") == (1 / 127.5, 2, -0.3)
    for wrong in ("", "one", "1/0", "1,,2"):
        with pytest.raises(UsageError, match="--scale"):
            parse_numbers(wrong, "--scale")


def test_sizes_are_height_by_width() -> None:
    assert parse_size("224") == (224, 224)
    assert parse_size("192x256") == (192, 256)
    for wrong in ("", "a", "1x2x3", "-4"):
        with pytest.raises(UsageError, match="expected 224 or HEIGHTxWIDTH"):
            parse_size(wrong)


SUGGESTED = SuggestedInput(
    origin="a collection",
    size=(20, 30),
    mean=(0.5, 0.4, 0.3),
    std=(0.1, 0.2, 0.4),
    resample="bicubic",
    crop_fraction=0.875,
)


def test_what_is_published_is_taken_aloud_where_nothing_is_stated() -> None:
    free = {"height": None, "width": None, "suggested": SUGGESTED}
    found = resolved(ModelOptions(labels=("a", "b", "c")), **free)
    image, preprocessing = found.contract.image, found.contract.preprocessing
    assert (image.shape, image.resample, image.crop_fraction) == ((20, 30, 3), "bicubic", 0.875)
    assert preprocessing.scale == pytest.approx((1 / 25.5, 1 / 51, 1 / 102))
    assert preprocessing.bias == pytest.approx((-5, -2, -0.75))
    assert found.notes == (
        "size, mean, std, resampling, crop fraction: taken from a collection; flags and "
        "mobilecv.toml win over it",
    )


def test_what_is_stated_wins_over_what_is_published() -> None:
    stated = ModelOptions(preset="unit", fit="stretch", labels=("a", "b", "c"))
    found = resolved(stated, suggested=SUGGESTED)
    assert found.contract.preprocessing == PRESETS["unit"]
    assert (found.contract.image.shape, found.contract.image.crop_fraction) == ((8, 6, 3), 1.0)
    assert [note.partition(":")[0] for note in found.notes] == ["resampling"]


def test_published_colours_do_not_hold_for_gray_or_turned_ones() -> None:
    gray = resolved(ModelOptions(), channels=1, suggested=SUGGESTED, usual_preset="unit")
    assert gray.contract.preprocessing.scale == (1 / 255,)
    turned = resolved(ModelOptions(color="BGR", preset="unit"), suggested=SUGGESTED)
    assert turned.contract.preprocessing.color == "BGR"


def test_notes_of_the_loading_come_first() -> None:
    found = resolved(ModelOptions(preset="tf"), notes=("weights: cast",))
    assert found.notes[0] == "weights: cast"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"last_operation": "sigmoid", "outputs": 3}, "multi-label"),
        ({"last_operation": "addmm", "outputs": 1}, "put a sigmoid behind it"),
    ],
)
def test_heads_beyond_the_contract_say_what_to_do(source: dict, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        resolved(ModelOptions(), head=None, **source)


def test_the_colour_says_how_many_channels_a_model_takes() -> None:
    assert ModelOptions(color="gray").stated_input.channels == 1
    assert ModelOptions(color="BGR", size=(4, 5)).stated_input.size == (4, 5)
    assert ModelOptions().stated_input.channels is None


UNIT = {"outputs": 1, "head": None, "last_operation": "addmm"}
SIGMOIDS = {"head": None, "last_operation": "Sigmoid"}
LINEAR = {"head": "logits", "last_operation": "BiasAdd"}


@pytest.mark.parametrize(
    ("stated", "source", "names"),
    [
        ("sigmoid-logits", UNIT, ("class_0", "class_1")),
        ("regression", UNIT, ("output",)),
        ("multi-label", SIGMOIDS, ("class_0", "class_1", "class_2")),
        ("multi-label-logits", LINEAR, ("class_0", "class_1", "class_2")),
        ("regression", LINEAR, ("output_0", "output_1", "output_2")),
        ("regression", {"head": None, "last_operation": "Relu"}, None),
    ],
)
def test_heads_that_nothing_tells_of_are_stated(
    stated: str, source: dict, names: tuple[str, ...] | None
) -> None:
    contract = resolved(ModelOptions(head=stated), **source).contract
    assert contract.head.kind == stated
    assert contract.labels.names == (names or ("output_0", "output_1", "output_2"))


def test_one_unit_says_aloud_which_label_it_speaks_of() -> None:
    found = resolved(ModelOptions(head="sigmoid-logits", labels=("no", "yes")), **UNIT)
    assert found.notes[-1] == (
        "head: one unit, whose p is the probability of 'yes' (the second label), and 1 - p that of "
        "'no'"
    )


@pytest.mark.parametrize(
    ("stated", "source", "message"),
    [
        ("multi-label", {}, "its labels exclude each other"),
        ("multi-label-logits", {}, "ends in a softmax already"),
        ("multi-label-logits", SIGMOIDS, "ends in a sigmoid already; pass --head multi-label"),
        ("logits", SIGMOIDS, "ends in a sigmoid already; pass --head multi-label"),
        ("sigmoid-logits", SIGMOIDS | {"outputs": 1}, "ends in a sigmoid already; pass --head sig"),
        ("sigmoid-logits", LINEAR, "gives 3 values per image"),
        ("multi-label-logits", UNIT, "gives 1 values per image"),
    ],
)
def test_a_head_that_the_last_operation_contradicts_is_refused(
    stated: str, source: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(ModelOptions(head=stated), **source)


@pytest.mark.parametrize(
    ("stated", "source", "names", "message"),
    [
        ("sigmoid-logits", UNIT, ("a", "b", "c"), "a sigmoid model has two labels"),
        ("regression", LINEAR, ("a", "b"), "give one name per line"),
        ("multi-label", SIGMOIDS, ("a", "b", "c", "d"), "in the order of the outputs"),
    ],
)
def test_every_head_counts_its_labels(
    stated: str, source: dict, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LabelsError, match=message):
        resolved(ModelOptions(head=stated, labels=names), **source)
