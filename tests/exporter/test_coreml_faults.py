"""Every fault that a Core ML export can have is found, in both kinds of file, off a Mac."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobilecv_runtime import Bundle
from mobilecv_runtime.parity import Verdict
from mobilecv_runtime.runners.coreml import ExecutedCoremlRunner
from mobilecv_runtime.spec import Precision
from mobilecv_runtime.verdicts import ScoredImages, artifact_verdict, scores_verdict
from tests_shared import BESIDE_PROTOBUFS, run_cli, run_script

FAULTS = [
    "swapped colours", "no normalisation", "half the scale", "doubled normalisation",
    "wrong sign of the bias", "averaged std", "sorted labels", "shifted labels", "no softmax",
    "double softmax", "transposed picture",
]  # fmt: skip
PRECISIONS: dict[str, Precision] = {
    ".mlmodel": "float32", ".mlpackage": "float16", "-int8.mlpackage": "int8-weights",
}  # fmt: skip
EXCHANGED = {
    ".mlmodel": "it takes images of 20x12x1", ".mlpackage": "is not described",
    "-int8.mlpackage": "is not described",
}  # fmt: skip
FILES = [f"digits{suffix}" for suffix in PRECISIONS]
EXACT_FILES = ["digits.mlmodel", "digits.mlpackage"]
"""Those that are held to their numbers so closely that 5 % of the scale, or other colours of a
digit, show in them. Files of 8-bit weights may differ by more than that."""


def spoil(file: Path, folder: Path) -> None:
    script = Path(__file__).with_name("spoil_coreml.py")
    run_script(script, file, folder, without=BESIDE_PROTOBUFS)


@pytest.fixture(scope="module")
def spoiled(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoiled")
    for file in FILES:
        spoil(exported / file, folder)
    return folder


@pytest.fixture(scope="module")
def oblong(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of gray images of 12 x 20 pixels, exported to both kinds of file."""
    folder = tmp_path_factory.mktemp("oblong")
    model = make_model("gray", ".h5")
    done = run_cli(
        "export", model, "--to", "coreml,mlpackage,mlpackage-int8", "--preset", "unit", cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "gray-mobilecv"


def golden_of(bundle: Bundle) -> ScoredImages:
    return ScoredImages.golden(bundle.golden.images, bundle.golden.scores)


def verdict_on(file: Path, folder: Path) -> Verdict:
    bundle = Bundle.open(folder)
    (entry,) = (each for each in bundle.manifest.artifacts if each.file == file.name)
    precision = PRECISIONS[suffix_of(file)]
    return artifact_verdict(file, precision, bundle.contract, entry, golden_of(bundle))


def suffix_of(file: Path) -> str:
    return file.name.removeprefix("digits").removeprefix("gray")


@pytest.mark.parametrize(
    ("fault", "file"),
    [
        (fault, file)
        for fault in FAULTS
        for file in (EXACT_FILES if fault == "averaged std" else FILES)
    ],
)
def test_a_planted_fault_is_found(fault: str, file: str, spoiled: Path, exported: Path) -> None:
    verdict = verdict_on(spoiled / fault / file, exported)
    assert verdict.outcome == "differs"
    assert verdict.reasons


@pytest.mark.parametrize("file", FILES)
def test_a_file_without_a_fault_is_not_accused(file: str, spoiled: Path, exported: Path) -> None:
    assert verdict_on(spoiled / "nothing" / file, exported).outcome == "agrees"


@pytest.mark.parametrize("file", EXACT_FILES)
def test_swapped_colours_show_in_the_numbers_too(file: str, spoiled: Path, exported: Path) -> None:
    golden = golden_of(Bundle.open(exported))
    path = spoiled / "swapped colours" / file
    scores = ExecutedCoremlRunner(path).scores(golden.pixels)
    verdict = scores_verdict(
        scores, PRECISIONS[suffix_of(path)], golden.scores, golden.names, "one label"
    )
    assert verdict.outcome == "differs"


@pytest.mark.parametrize("suffix", PRECISIONS)
def test_exchanged_height_and_width_are_found(suffix: str, oblong: Path, tmp_path: Path) -> None:
    file = oblong / f"gray{suffix}"
    spoil(file, tmp_path)
    assert verdict_on(tmp_path / "nothing" / file.name, oblong).outcome == "agrees"
    verdict = verdict_on(tmp_path / "transposed size" / file.name, oblong)
    assert verdict.outcome == "differs"
    assert EXCHANGED[suffix] in verdict.reasons[0]


def test_a_changed_weight_of_a_network_is_found(spoiled: Path, exported: Path) -> None:
    file = spoiled / "changed weight" / "digits.mlmodel"
    assert verdict_on(file, exported).outcome == "differs"


def test_a_changed_weight_of_a_package_is_found(exported: Path, tmp_path: Path) -> None:
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
