"""Sabotage: a fault planted in one artifact must make `verify` fail, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import mobilecv
from mobilecv_runtime.digests import digest_of, size_of
from mobilecv_runtime.errors import BundleError, SourceError, UsageError
from tests_shared import DIGITS

Edit = Callable[[onnx.ModelProto], None]


def plant(bundle: Path, edit: Edit) -> None:
    """Edit the ONNX artifact, and make the manifest vouch for the edited file."""
    path = bundle / "digits.onnx"
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)
    vouch(bundle)


def vouch(bundle: Path, **changes: object) -> None:
    manifest_path = bundle / "mobilecv.json"
    manifest = json.loads(manifest_path.read_text())
    for entry in manifest["artifacts"]:
        file = bundle / entry["file"]
        entry["sha256"], entry["bytes"] = digest_of(file), size_of(file)
    manifest_path.write_text(json.dumps({**manifest, **changes}))


def before_the_network(model: onnx.ModelProto, op: str, **attributes: object) -> None:
    graph = model.graph
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == "image":
                node.input[index] = "spoiled"
    inputs = ["image"]
    if op == "Gather":
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "reversed"))
        inputs.append("reversed")
    graph.node.insert(0, helper.make_node(op, inputs, ["spoiled"], **attributes))


def swap_channels(model: onnx.ModelProto) -> None:
    before_the_network(model, "Gather", axis=3)


def transpose_height_and_width(model: onnx.ModelProto) -> None:
    before_the_network(model, "Transpose", perm=[0, 2, 1, 3])


def scale_of(model: onnx.ModelProto) -> onnx.TensorProto:
    (found,) = [
        weight
        for weight in model.graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT
        and np.allclose(numpy_helper.to_array(weight), 1 / 127.5)
    ]
    return found


def replace(weight: onnx.TensorProto, value: np.ndarray) -> None:
    weight.CopyFrom(numpy_helper.from_array(value.astype(np.float32), weight.name))


def lose_the_normalisation(model: onnx.ModelProto) -> None:
    weight = scale_of(model)
    replace(weight, np.ones_like(numpy_helper.to_array(weight)))


def normalise_by_255(model: onnx.ModelProto) -> None:
    weight = scale_of(model)
    replace(weight, numpy_helper.to_array(weight) / 2)


def average_the_std(model: onnx.ModelProto) -> None:
    weight = scale_of(model)
    replace(weight, numpy_helper.to_array(weight) * 1.02)


def last(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    return next(node for node in reversed(model.graph.node) if node.op_type == op)


def lose_the_softmax(model: onnx.ModelProto) -> None:
    last(model, "Softmax").op_type = "Identity"
    del model.graph.node[-1].attribute[:]


def double_the_softmax(model: onnx.ModelProto) -> None:
    softmax = last(model, "Softmax")
    output = softmax.output[0]
    softmax.output[0] = "once"
    model.graph.node.append(helper.make_node("Softmax", ["once"], [output], axis=1))


def shift_the_scores(model: onnx.ModelProto) -> None:
    softmax = last(model, "Softmax")
    output = softmax.output[0]
    softmax.output[0] = "right"
    order = numpy_helper.from_array(np.roll(np.arange(10), 1), "shift")
    model.graph.initializer.append(order)
    model.graph.node.append(helper.make_node("Gather", ["right", "shift"], [output], axis=1))


def change_a_weight(model: onnx.ModelProto) -> None:
    weight = max(model.graph.initializer, key=lambda each: np.prod(each.dims))
    values = numpy_helper.to_array(weight).copy()
    values.flat[values.size // 2] += 0.5
    replace(weight, values)


def make_it_nan(model: onnx.ModelProto) -> None:
    weight = scale_of(model)
    replace(weight, numpy_helper.to_array(weight) * np.nan)


def edit_labels(model: onnx.ModelProto, edit: Callable[[list[str]], list[str]]) -> None:
    (entry,) = [entry for entry in model.metadata_props if entry.key == "labels"]
    entry.value = json.dumps(edit(json.loads(entry.value)))


def sort_the_labels(model: onnx.ModelProto) -> None:
    edit_labels(model, sorted)


def shift_the_labels(model: onnx.ModelProto) -> None:
    edit_labels(model, lambda names: [*names[1:], names[0]])


def claim_another_preprocessing(model: onnx.ModelProto) -> None:
    (entry,) = [entry for entry in model.metadata_props if entry.key == "mobilecv"]
    contract = json.loads(entry.value)
    contract["image"]["fit"] = "stretch"
    entry.value = json.dumps(contract)


@pytest.mark.parametrize(
    "edit",
    [
        swap_channels, transpose_height_and_width, lose_the_normalisation, normalise_by_255,
        average_the_std, lose_the_softmax, double_the_softmax, shift_the_scores, change_a_weight,
        make_it_nan, sort_the_labels, shift_the_labels, claim_another_preprocessing,
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(edit: Edit, bundle: Path) -> None:
    plant(bundle, edit)
    report = mobilecv.verify(bundle, use_source=False)
    assert not report.agrees
    differing = [row.id for row in report.rows if row.verdict.outcome == "differs"]
    assert differing == ["onnx"]
    (row,) = [row for row in report.rows if row.id == "onnx"]
    assert row.verdict.reasons


def test_an_untouched_bundle_is_not_accused(bundle: Path) -> None:
    plant(bundle, lambda _: None)
    assert mobilecv.verify(bundle, use_source=False).agrees


def test_an_artifact_that_does_not_load_differs(bundle: Path) -> None:
    (bundle / "digits.onnx").write_bytes(b"nonsense")
    vouch(bundle)
    report = mobilecv.verify(bundle, use_source=False)
    (row,) = [row for row in report.rows if row.verdict.outcome == "differs"]
    assert "ONNX Runtime cannot load it" in row.verdict.reasons[0]


def test_photos_in_labelled_folders_give_the_accuracy(bundle: Path, digits_photos: Path) -> None:
    report = mobilecv.verify(bundle, source=DIGITS, images=digits_photos / "test")
    assert report.agrees
    assert (report.images, report.labelled) == (376, 360)
    accuracy = {row.id: row.correct / 360 for row in report.rows if row.correct is not None}
    assert accuracy["source"] > 0.98
    assert all(abs(share - accuracy["source"]) < 0.01 for share in accuracy.values())
    assert {"tflite", "tflite-int8", "onnx", "onnx-int8"} <= accuracy.keys()
    assert not any("accuracy" in note for note in report.notes)


def test_photos_in_no_labels_folder_give_none_and_it_is_said(
    bundle: Path, digits_photos: Path
) -> None:
    report = mobilecv.verify(bundle, source=DIGITS, images=digits_photos / "test" / "zero")
    assert report.labelled == 0
    assert all(row.correct is None for row in report.rows)
    (note,) = (note for note in report.notes if "accuracy" in note)
    assert note == "no accuracy: the photos lie in no folder with a label's name, such as 'zero'"


def test_photos_have_no_right_answer_without_the_source(bundle: Path, digits_photos: Path) -> None:
    with pytest.raises(UsageError, match="the photos have no right answers then"):
        mobilecv.verify(moved(bundle), images=digits_photos / "test")


def moved(bundle: Path) -> Path:
    """The bundle where its relative path to the source leads nowhere."""
    place = bundle.parent / "moved" / "away" / bundle.name
    place.parent.mkdir(parents=True)
    return bundle.rename(place)


def test_a_source_that_has_gone_is_said(bundle: Path) -> None:
    report = mobilecv.verify(moved(bundle))
    assert report.agrees
    assert report.reference == "scores recorded at the export"
    assert "is not there any more" in report.notes[0]


def test_another_source_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(DIGITS.read_bytes() + b" ")
    with pytest.raises(SourceError, match="not the file that was exported"):
        mobilecv.verify(bundle, source=other)


def test_a_damaged_bundle_is_refused(bundle: Path) -> None:
    (bundle / "digits.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="changed since the export"):
        mobilecv.verify(bundle)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_float_file_in_the_place_of_the_int8_one_differs(suffix: str, bundle: Path) -> None:
    """Its answers are better than promised, but it is not what was sold."""
    float_file = (bundle / f"digits{suffix}").read_bytes()
    (bundle / f"digits-int8{suffix}").write_bytes(float_file)
    vouch(bundle)
    report = mobilecv.verify(bundle, use_source=False)
    outcomes = {row.id: row.verdict for row in report.rows}
    verdict = outcomes[f"{suffix[1:]}-int8"]
    assert verdict.outcome == "differs"
    assert "only 0% of its multiply-adds run in integers" in verdict.reasons[0]
    assert outcomes[suffix[1:]].outcome == "agrees"


def test_a_source_that_answers_all_images_alike_proves_nothing(tmp_path: Path) -> None:
    options = mobilecv.ExportOptions(targets=["onnx"], output=tmp_path / "bundle")
    exported = mobilecv.export(DIGITS, options, mobilecv.ModelOptions(scale=[1e-9], bias=[0.0]))
    verified = mobilecv.verify(tmp_path / "bundle")
    assert verified.agrees
    for notes in (exported.notes, verified.notes):
        assert any("answers all 16 images alike" in note for note in notes)


def test_one_that_tells_images_apart_is_not_suspected(tmp_path: Path) -> None:
    options = mobilecv.ExportOptions(targets=["onnx"], output=tmp_path / "bundle")
    assert not any("alike" in note for note in mobilecv.export(DIGITS, options).notes)
