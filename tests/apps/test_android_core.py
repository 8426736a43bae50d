"""`android_app/core`, compiled by Kotlin and held to the golden pixels by its own JUnit tests."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.android_tools import APP, GOLDEN_PIXELS, core_jar, core_tests
from mobilecv_runtime.manifest import ArtifactEntry, GoldenEntry, Manifest, SourceEntry
from mobilecv_runtime.spec import Contract, Head, ImageInput, Labels, Preprocessing

LABELS = Labels(("cat", "dog", "größe"))
TESTS = sorted(path.stem for path in (APP / "core" / "src" / "test").rglob("*Test.kt"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as Python writes it, with a model that nobody runs."""
    folder = tmp_path_factory.mktemp("assets")
    (folder / "labels.txt").write_bytes(LABELS.to_bytes())
    (folder / "pets.tflite").write_bytes(b"no model")
    image = ImageInput(height=5, width=7, channels=3, crop_fraction=0.875)
    (folder / "golden").mkdir()
    entries = []
    for number, scores in enumerate(([0.7, 0.2, 0.1], [1e-8, 2.5e-7, 0.99999973])):
        pixels = np.random.default_rng(number).integers(0, 256, image.shape).astype(np.uint8)
        file = folder / "golden" / f"{number:03}.png"
        Image.fromarray(pixels).save(file)
        entries.append({"file": file.name, "sha256": sha256(file), "scores": scores})
    golden = folder / "golden" / "golden.json"
    golden.write_text(json.dumps({"images": entries}))
    contract = Contract(
        image=image, preprocessing=Preprocessing(), head=Head(kind="softmax"), labels=LABELS
    )
    manifest = Manifest(
        name="pets",
        contract=contract,
        labels_origin="labels.txt",
        labels_sha256=sha256(folder / "labels.txt"),
        source=SourceEntry(framework="keras", file="pets.h5", path=None, sha256=None),
        golden=GoldenEntry(origin="photos", file="golden/golden.json", sha256=sha256(golden)),
        calibration=None,
        tools={},
        artifacts=(
            ArtifactEntry(
                id="tflite",
                file="pets.tflite",
                bytes=8,
                sha256=sha256(folder / "pets.tflite"),
                precision="float32",
                minimum_runtime="LiteRT / TFLite 2.x",
                input={"name": "image", "dtype": "float32", "layout": "NHWC"},
                output={"name": "probabilities", "dtype": "float32"},
                parity={"outcome": "agrees", "reasons": []},
            ),
        ),
        left_out={},
    )
    (folder / "mobilecv.json").write_text(json.dumps(manifest.to_json()))
    return folder


def test_the_ports_own_tests_pass_on_a_bundle_that_python_wrote(small_bundle: Path) -> None:
    done = core_tests(*TESTS, assets=small_bundle)
    assert done.returncode == 0, done.stdout
    assert len(TESTS) >= 5


def test_a_bundle_that_was_really_exported_is_read(exported: Path) -> None:
    core_jar()
    done = core_tests("BundleTest", assets=exported)
    assert done.returncode == 0, done.stdout


def test_a_written_project_passes_its_tests_on_what_lies_in_it(written: dict[str, Path]) -> None:
    project = written["android"]
    golden = project / "golden-pixels"
    done = core_tests(*TESTS, assets=assets(project), golden=golden, project=project)
    assert done.returncode == 0, done.stdout
    assert sum(map(int, re.findall(r"OK \((\d+) tests\)", done.stdout))) >= 40


def assets(project: Path) -> Path:
    return project / "app" / "src" / "main" / "assets"


def test_an_app_without_a_model_passes_its_tests(tmp_path: Path) -> None:
    done = core_tests("BundleTest", assets=tmp_path)
    assert done.returncode == 0, done.stdout


def test_one_wrong_golden_byte_fails_the_ports_tests(small_bundle: Path, tmp_path: Path) -> None:
    golden = tmp_path / "pixels"
    shutil.copytree(GOLDEN_PIXELS, golden)
    cases = json.loads((golden / "cases.json").read_text())
    pixels = bytearray((golden / "pixels.bin").read_bytes())
    pixels[cases["fits"][-1]["offset"]] ^= 1
    (golden / "pixels.bin").write_bytes(pixels)
    done = core_tests("PreparationTest", assets=small_bundle, golden=golden)
    assert done.returncode == 1
    assert "Failures: 1" in done.stdout


def test_a_changed_model_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "assets"
    shutil.copytree(small_bundle, spoilt)
    (spoilt / "pets.tflite").write_bytes(b"no modem")
    done = core_tests("BundleTest", assets=spoilt)
    assert done.returncode == 1
    assert "pets.tflite was changed since the export" in done.stdout


def test_core_knows_neither_android_nor_a_library() -> None:
    sources = list((APP / "core" / "src" / "main").rglob("*.kt"))
    assert sources
    for source in sources:
        imports = re.findall(r"^import ([\w.]+)", source.read_text(), re.MULTILINE)
        assert all(name.startswith(("java.", "kotlin.")) for name in imports), source.name
