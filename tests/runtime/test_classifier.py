from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mobilecv_runtime import Bundle, Classifier
from mobilecv_runtime.errors import BundleError, MissingDependencyError
from mobilecv_runtime.images import prepare
from mobilecv_runtime.runners import open_runner

RUNNABLE = [
    "coreml", "mlpackage", "mlpackage-int8", "tflite", "tflite-fp16", "tflite-dynamic",
    "tflite-int8", "onnx", "onnx-fp16", "onnx-int8",
]  # fmt: skip


@pytest.fixture(scope="session")
def seven(digits_photos: Path) -> Path:
    return sorted((digits_photos / "test" / "seven").iterdir())[0]


@pytest.mark.parametrize("artifact", RUNNABLE)
def test_every_artifact_names_the_digit(artifact: str, exported: Path, seven: Path) -> None:
    predictions = Classifier(exported, artifact=artifact).classify(seven, top=3)
    assert len(predictions) == 3
    assert predictions[0].label == "seven"
    assert predictions[0].probability > 0.9
    assert predictions[0].probability >= predictions[1].probability


@pytest.mark.parametrize("file", ["digits-int8.tflite", "digits-fp16.onnx", "digits.mlmodel"])
def test_an_artifact_alone_carries_all_that_is_needed(
    file: str, exported: Path, seven: Path, tmp_path: Path
) -> None:
    alone = tmp_path / file
    alone.write_bytes((exported / file).read_bytes())
    classifier = Classifier(str(alone))
    assert classifier.contract == Bundle.open(exported).contract
    assert classifier.classify(str(seven))[0].label == "seven"


@pytest.mark.parametrize("artifact", RUNNABLE)
def test_runners_refuse_pixels_of_another_size(artifact: str, exported: Path, seven: Path) -> None:
    bundle = Bundle.open(exported)
    runner = open_runner(bundle.file(bundle.artifact(artifact)))
    pixels = prepare(seven, bundle.contract.image)[None]
    with pytest.raises(BundleError, match="takes uint8 images of 32x32x3"):
        runner.scores(pixels[:, :16])
    with pytest.raises(BundleError, match="takes uint8 images"):
        runner.scores(pixels.astype(float))


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".mlmodel", ".zip"])
def test_a_file_of_nonsense_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"nonsense" * 100)
    with pytest.raises(BundleError, match=f"a{suffix}"):
        open_runner(path)


def test_a_missing_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such artifact"):
        Classifier(tmp_path / "a.tflite")


@pytest.mark.parametrize("artifact", ["mlpackage", "tflite", "onnx"])
def test_classifying_imports_no_training_framework(
    artifact: str, exported: Path, seven: Path
) -> None:
    code = (
        "import sys, mobilecv_runtime\n"
        "print(mobilecv_runtime.Classifier(sys.argv[1], artifact=sys.argv[2])"
        ".classify(sys.argv[3])[0].label)\n"
        "print(sorted({'tensorflow', 'keras', 'torch', 'coremltools', 'h5py', 'rich'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, exported, artifact, seven],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["seven", "[]"]


def test_a_missing_engine_is_one_line_with_the_extra(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mobilecv\[onnx\]'"):
        Classifier(exported, artifact="onnx")
