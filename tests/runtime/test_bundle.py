from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mobilecv_runtime
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.errors import BundleError, UsageError

SCHEMA = Path(mobilecv_runtime.__file__).parent / "schema" / "mobilecv-1.schema.json"


def edit_manifest(bundle: Path, **changes: object) -> None:
    path = bundle / "mobilecv.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_manifest_keeps_to_its_published_schema(exported: Path) -> None:
    manifest = json.loads((exported / "mobilecv.json").read_text())
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    assert manifest["version"] == 1


def test_the_manifest_survives_reading(exported: Path) -> None:
    manifest = json.loads((exported / "mobilecv.json").read_text())
    assert Bundle.open(exported).manifest.to_json() == manifest


def test_a_manifest_of_before_the_census_is_read(bundle: Path) -> None:
    path = bundle / "mobilecv.json"
    manifest = json.loads(path.read_text())
    manifest["calibration"] = {key: manifest["calibration"][key] for key in ("images", "sha256")}
    for entry in manifest["artifacts"]:
        entry.pop("census", None)
    path.write_text(json.dumps(manifest))
    read = Bundle.open(bundle).manifest
    assert read.to_json() == manifest
    assert read.calibration is not None
    assert (read.calibration.found, read.calibration.findings) == (None, ())
    assert all(entry.census is None for entry in read.artifacts)


def test_golden_images_come_with_the_sources_scores(exported: Path) -> None:
    golden = Bundle.open(exported).golden
    assert golden.images.shape == (16, 32, 32, 3)
    assert golden.images.dtype == np.uint8
    assert golden.scores.shape == (16, 10)
    assert np.allclose(golden.scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "file",
    ["digits.onnx", "digits.mlpackage/Manifest.json", "labels.txt", "golden/golden.json"],
)
def test_a_changed_file_is_noticed(file: str, bundle: Path) -> None:
    with (bundle / file).open("ab") as opened:
        opened.write(b" ")
    with pytest.raises(BundleError, match="changed since the export"):
        Bundle.open(bundle)


def test_a_changed_golden_image_is_noticed(bundle: Path) -> None:
    shutil.copy(bundle / "golden" / "001.png", bundle / "golden" / "000.png")
    with pytest.raises(BundleError, match=r"000\.png: changed"):
        Bundle.open(bundle)


@pytest.mark.parametrize("file", ["digits.onnx", "labels.txt", "golden/golden.json"])
def test_a_missing_file_is_noticed(file: str, bundle: Path) -> None:
    (bundle / file).unlink()
    with pytest.raises(BundleError, match="missing; export the model again"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "of version 2"),
        ({"format": "zip"}, "not the manifest"),
        ({"artifacts": [{}]}, "damaged"),
        ({"image": {}}, "damaged"),
        ({"head": {"kind": "oracle"}}, "head 'oracle' is unknown"),
    ],
)
def test_a_foreign_or_damaged_manifest_is_refused(
    changes: dict, message: str, bundle: Path
) -> None:
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


def test_a_manifest_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / "mobilecv.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.open(bundle)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a mobilecv bundle"):
        Bundle.open(tmp_path)


def test_an_unknown_artifact_is_answered_with_the_known_ones(exported: Path) -> None:
    with pytest.raises(UsageError, match="it holds: coreml, mlpackage, mlpackage-int8, tflite"):
        Bundle.open(exported).artifact("tensorrt")


def test_bundles_are_found_below_a_folder_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["a", "b/c", ".hidden/d", "node_modules/e", "1/2/3/4"]):
        path = tmp_path / name / "mobilecv.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        os.utime(path, (100 + age, 100 + age))
    found = [path.relative_to(tmp_path).as_posix() for path in Bundle.find(tmp_path)]
    assert found == ["b/c", "a"]
