"""Every fault that a Core ML export can have is found, in both kinds of file, off a Mac."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mobilecv_runtime import Bundle
from mobilecv_runtime.parity import Verdict
from mobilecv_runtime.spec import Precision
from mobilecv_runtime.verdicts import ScoredImages, artifact_verdict

FAULTS = [
    "swapped colours", "no normalisation", "half the scale", "doubled normalisation",
    "wrong sign of the bias", "averaged std", "sorted labels", "shifted labels", "no softmax",
    "double softmax",
]  # fmt: skip
FILES: dict[str, Precision] = {"digits.mlmodel": "float32", "digits.mlpackage": "float16"}


@pytest.fixture(scope="module")
def spoiled(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoiled")
    script = Path(__file__).with_name("spoil_coreml.py")
    for file in FILES:
        command = [sys.executable, script, exported / file, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


def verdict_on(file: Path, exported: Path) -> Verdict:
    bundle = Bundle.open(exported)
    golden = ScoredImages.golden(bundle.golden.images, bundle.golden.scores)
    return artifact_verdict(file, FILES[file.name], bundle.contract, golden)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, file: str, spoiled: Path, exported: Path) -> None:
    verdict = verdict_on(spoiled / fault / file, exported)
    assert verdict.outcome == "differs"
    assert verdict.reasons


@pytest.mark.parametrize("file", FILES)
def test_a_file_without_a_fault_is_not_accused(file: str, spoiled: Path, exported: Path) -> None:
    assert verdict_on(spoiled / "nothing" / file, exported).outcome == "agrees"


def test_a_changed_weight_is_found(exported: Path, tmp_path: Path) -> None:
    package = shutil.copytree(exported / "digits.mlpackage", tmp_path / "digits.mlpackage")
    path = package / "Data/com.apple.CoreML/weights/weight.bin"
    data = np.frombuffer(path.read_bytes(), np.float16).copy()
    data[len(data) // 2] += 2
    path.write_bytes(data.tobytes())
    verdict = verdict_on(package, exported)
    assert verdict.outcome == "differs"


@pytest.mark.parametrize("size", [0, 10, 64, 1000])
def test_a_truncated_weight_file_is_refused(size: int, exported: Path, tmp_path: Path) -> None:
    package = shutil.copytree(exported / "digits.mlpackage", tmp_path / "digits.mlpackage")
    path = package / "Data/com.apple.CoreML/weights/weight.bin"
    path.write_bytes(path.read_bytes()[:size])
    verdict = verdict_on(package, exported)
    assert verdict.outcome == "differs"
    assert "weight.bin" in verdict.reasons[0]
