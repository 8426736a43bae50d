from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mobilecv
from mobilecv.quantisation.networks.tflite import TfliteNetwork
from mobilecv.targets import TARGETS
from mobilecv.targets.tflite_metadata import without_files
from mobilecv_runtime import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.inspection import inspect
from tests_shared import DIGITS, Cli, run_cli

FLOAT_TARGETS = [target.id for target in TARGETS.values() if target.precision == "float32"]


def exported_parity(bundle: Path) -> dict[str, dict]:
    manifest = json.loads((bundle / "mobilecv.json").read_text())
    return {entry["id"]: entry["parity"] for entry in manifest["artifacts"]}


def test_all_exports_every_target(exported: Path) -> None:
    assert [entry.id for entry in Bundle.open(exported).manifest.artifacts] == list(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_agrees_with_its_source(target: str, exported: Path) -> None:
    parity = exported_parity(exported)[target]
    assert parity["outcome"] == "agrees", parity
    if TARGETS[target].precision == "float32":
        assert parity["max_difference"] <= 1e-5
        assert parity["top1_agreement"] == 1


def test_the_same_export_gives_the_same_bytes(
    exported: Path, digits_photos: Path, tmp_path: Path
) -> None:
    done = run_cli("export", DIGITS, "--calibration", digits_photos / "calibration", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = tmp_path / "digits-mobilecv"
    assert digest_of(again / "golden") == digest_of(exported / "golden")
    for entry in Bundle.open(exported).manifest.artifacts:
        assert digest_of(again / entry.file) == entry.sha256, entry.id


def test_nothing_but_the_bundle_is_left_behind(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]
    assert not list(exported.glob(".*"))
    assert not (exported / "export.log").exists()


def test_one_target_without_photos_works_with_no_other_flag(cli: Cli, tmp_path: Path) -> None:
    shutil.copy(DIGITS, tmp_path)
    shutil.copy(DIGITS.with_name("labels.txt"), tmp_path)
    done = cli("export", DIGITS.name, "--to", "tflite")
    assert done.returncode == 0, done.stderr
    bundle = Bundle.open(tmp_path / "digits-mobilecv")
    assert [entry.id for entry in bundle.manifest.artifacts] == ["tflite"]
    assert bundle.manifest.golden.origin == "patterns"
    assert bundle.contract.labels.names[7] == "seven"
    assert "generated test patterns" in done.stderr


def test_photos_beside_the_model_calibrate(cli: Cli, tmp_path: Path) -> None:
    beside = DIGITS.with_name("calibration")
    done = cli("export", DIGITS, "--to", "tflite-int8")
    assert done.returncode == 0, done.stderr
    assert f"calibration photos: those in {beside}, beside the model" in done.stderr
    manifest = Bundle.open(tmp_path / "digits-mobilecv").manifest
    assert manifest.golden.origin == "photos"
    assert manifest.calibration is not None
    assert manifest.calibration.images == len(list(beside.glob("*/*.png"))) == 100
    assert re.search(r"\| tflite-int8 .*\| +100% \|", done.stdout)
    found = cli("inspect", "digits-mobilecv")
    assert f"rests on 100 of 100 photos, SHA-256 {manifest.calibration.sha256}" in found.stdout


def test_few_photos_are_too_few_for_a_rescue(cli: Cli, tmp_path: Path) -> None:
    photos = sorted(DIGITS.with_name("calibration").glob("*/*.png"))[::10]
    (tmp_path / "few").mkdir()
    for photo in photos:
        shutil.copy(photo, tmp_path / "few")
    done = cli("export", DIGITS, "--to", "tflite-int8", "--calibration", "few")
    assert "int8 is not rescued with fewer than 20 photos" in done.stderr


def test_the_photos_beside_the_demo_model_are_those_that_its_script_draws(
    digits_photos: Path,
) -> None:
    for path in DIGITS.with_name("calibration").glob("*/*.png"):
        drawn = digits_photos / "calibration" / path.parent.name / path.name
        assert drawn.read_bytes() == path.read_bytes()


def test_int8_without_its_float_twin_leaves_no_float_file(
    cli: Cli, digits_photos: Path, tmp_path: Path
) -> None:
    done = cli("export", DIGITS, "--to", "onnx-int8", "--calibration", digits_photos / "test")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "digits-mobilecv").iterdir())
    assert files == ["digits-int8.onnx", "golden", "labels.txt", "mobilecv.json"]


@pytest.mark.parametrize(
    ("kind", "suffix", "words", "shape", "scaler"),
    [
        ("gray", ".h5", ["--preset", "unit"], (12, 20, 1), "channelScale 0.00392157"),
        ("logits", ".keras", ["--preset", "torch"], (16, 16, 3), "channelScale 1"),
        ("sigmoid", ".keras", ["--preset", "caffe"], (16, 16, 3), "blueBias -103.939"),
        ("free_size", ".h5", ["--size", "24x18", "--scale", "1/64", "--bias=-1,-2,-3"], (24, 18, 3),
         "greenBias -2"),
        ("gelu_and_groups", ".keras", ["--color", "BGR"], (16, 16, 3), "redBias -1"),
    ],
)  # fmt: skip
def test_every_head_preset_and_colour_agrees_in_float32(
    kind: str, suffix: str, words: list[str], shape: tuple[int, ...], scaler: str, make_model,
    cli: Cli, tmp_path: Path,
) -> None:  # fmt: skip
    done = cli("export", make_model(kind, suffix), "--to", ",".join(FLOAT_TARGETS), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = Bundle.open(tmp_path / f"{kind}-mobilecv")
    assert bundle.contract.image.shape == shape
    for id_, parity in exported_parity(bundle.path).items():
        assert parity["outcome"] == "agrees", (id_, parity)
    coreml = inspect(bundle.path / f"{kind}.mlmodel")
    assert coreml.inputs[0].type.endswith(bundle.contract.preprocessing.color)
    assert scaler in coreml.metadata["scaler"]
    if not bundle.contract.preprocessing.has_one_scale:  # Then all of it is inside the graph.
        assert coreml.metadata["scaler"] == "channelScale 1"


def test_large_weights_survive_quantisation(
    make_model, digits_photos: Path, cli: Cli, tmp_path: Path
) -> None:
    """ai-edge-quantizer lays constants of 256 KiB and more behind the flatbuffer."""
    targets = [target.id for target in TARGETS.values() if target.format == "tflite"]
    done = cli("export", make_model("wide"), "--to", ",".join(targets),
               "--calibration", digits_photos / "calibration")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = {
        entry.id: entry.bytes
        for entry in Bundle.open(tmp_path / "wide-mobilecv").manifest.artifacts
    }
    weights = 16 * 16 * 3 * 1024
    assert sizes["tflite"] > 4 * weights
    assert 2 * weights < sizes["tflite-fp16"] < 2.1 * weights
    assert weights < sizes["tflite-int8"] < 1.1 * weights


def test_a_model_that_rescales_inside_agrees_on_raw_pixels(
    make_model, cli: Cli, tmp_path: Path
) -> None:
    done = cli("export", make_model("rescaling"), "--to", "tflite", "--preset", "raw")
    assert done.returncode == 0, done.stderr
    assert exported_parity(tmp_path / "rescaling-mobilecv")["tflite"]["outcome"] == "agrees"


def test_a_model_in_memory_is_exported_from_python(tmp_path: Path) -> None:
    code = (
        "import sys, keras, mobilecv; from pathlib import Path\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x): return 2 * x\n"
        "keras.utils.set_random_seed(1)\n"
        "image = keras.Input((8, 8, 3))\n"
        "x = keras.layers.Flatten()(Twice()(image))\n"
        "model = keras.Model(image, keras.layers.Dense(3, activation='softmax')(x), name='mine')\n"
        "report = mobilecv.export(model, mobilecv.ExportOptions(targets=['onnx']),\n"
        "                         mobilecv.ModelOptions(labels=['a', 'b', 'c']))\n"
        "print(report.bundle.path, report.verdicts['onnx'].outcome)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["mine-mobilecv", "agrees"]
    report = mobilecv.verify(tmp_path / "mine-mobilecv")
    assert report.agrees
    assert report.reference == "scores recorded at the export"


def test_what_the_packages_export_is_what_they_say() -> None:
    import mobilecv_runtime

    for package in (mobilecv, mobilecv_runtime):
        for name in package.__all__:
            assert getattr(package, name).__name__ == name
        with pytest.raises(AttributeError):
            _ = package.nothing


def test_an_export_says_that_a_file_does_not_keep_its_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker has a registry of its own: the file is as ever, what is promised is not.
    broken = dataclasses.replace(
        TARGETS["coreml"],
        input={"name": "x"},
        output=lambda _: {"name": "y"},
    )
    monkeypatch.setitem(TARGETS, "coreml", broken)
    options = mobilecv.ExportOptions(targets=["coreml"], output=tmp_path / "bundle")
    verdict = mobilecv.export(DIGITS, options).verdicts["coreml"]
    assert verdict.outcome == "differs"
    assert verdict.reasons == (
        "it has no input x, only image",
        "it has no output y, only probabilities, classLabel",
    )


def test_recurrent_layers_convert_to_every_format_and_to_int8(
    make_model, digits_photos: Path, cli: Cli, tmp_path: Path
) -> None:
    targets = ["coreml", "mlpackage", "tflite", "tflite-int8", "onnx", "onnx-int8"]
    options = ["--preset", "unit", "--calibration", digits_photos / "calibration", "--json"]
    done = cli("export", make_model("recurrent"), "--to", ",".join(targets), *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert not report["failures"]
    found = {each["id"]: each for each in report["manifest"]["artifacts"]}
    outcomes = {id_: each["parity"]["outcome"] for id_, each in found.items()}
    assert outcomes == dict.fromkeys(targets, "agrees")
    file = tmp_path / report["bundle"] / found["tflite"]["file"]
    network = TfliteNetwork(without_files(file.read_bytes()))
    # What steps share is nobody's own: rounded by each step, there would be as many copies.
    (own,) = (layer.name for layer in network.layers if layer.weights)
    assert "dense" in own
