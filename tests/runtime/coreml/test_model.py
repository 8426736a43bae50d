from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mobilecv_runtime.coreml.model import read_coreml
from mobilecv_runtime.errors import BundleError


@pytest.fixture
def package(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported / "digits.mlpackage", tmp_path / "digits.mlpackage")


def edit_manifest(package: Path, path: str) -> None:
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = path
    (package / "Manifest.json").write_text(json.dumps(manifest))


def test_a_package_that_points_outside_of_itself_is_refused(package: Path) -> None:
    edit_manifest(package, "../../../../etc/passwd")
    with pytest.raises(BundleError, match="points outside"):
        read_coreml(package)


def test_a_package_without_its_specification_is_refused(package: Path) -> None:
    edit_manifest(package, "gone.mlmodel")
    with pytest.raises(BundleError, match="cannot be read"):
        read_coreml(package)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"rootModelIdentifier": "x"}'])
def test_a_package_with_a_broken_manifest_is_refused(content: str, package: Path) -> None:
    (package / "Manifest.json").write_text(content)
    with pytest.raises(BundleError, match="not a Core ML package"):
        read_coreml(package)


def test_a_compiled_model_is_refused(tmp_path: Path) -> None:
    compiled = tmp_path / "digits.mlmodelc"
    compiled.mkdir()
    with pytest.raises(BundleError, match="compiled model"):
        read_coreml(compiled)
