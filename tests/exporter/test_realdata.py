"""Models and photos made by others, which are not in the repository.

`MOBILECV_DATA` names a folder with `mlcommons+tiny` and `cifar10-photos`; by default it is
`../shared/data` beside the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mobilecv
from mobilecv_runtime import Bundle
from mobilecv_runtime.runners import open_runner
from tests_shared import ROOT, run_cli

DATA = Path(os.environ.get("MOBILECV_DATA", ROOT.parent / "shared" / "data"))
TINY = DATA / "mlcommons+tiny/benchmark/training/image_classification/trained_models"
PHOTOS = DATA / "cifar10-photos"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not TINY.is_dir(), reason=f"{TINY} is not there; see MOBILECV_DATA"),
]


@pytest.fixture(scope="module")
def resnet8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resnet8")
    names = sorted(path.name for path in PHOTOS.iterdir())
    (folder / "cifar.txt").write_text("\n".join(names))
    done = run_cli("export", TINY / "pretrainedResnet.h5", "--preset", "raw", "--labels",
                   "cifar.txt", "--calibration", PHOTOS, "--to", "all", cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "pretrainedResnet-mobilecv"


def authors_int8_correct() -> int:
    """How many photos the model authors' own int8 file names right: int8 input, pixel - 128."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(TINY / "pretrainedResnet_quant.tflite"))
    interpreter.allocate_tensors()
    image, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    correct = 0
    for truth, folder in enumerate(sorted(PHOTOS.iterdir())):
        for path in sorted(folder.iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"), np.int16)
            interpreter.set_tensor(image["index"], (pixels[None] - 128).astype(np.int8))
            interpreter.invoke()
            correct += int(interpreter.get_tensor(scores["index"])[0].argmax()) == truth
    return correct


def test_resnet8_agrees_and_its_int8_is_not_worse_than_its_authors(resnet8: Path) -> None:
    report = mobilecv.verify(resnet8, images=PHOTOS)
    assert report.agrees, [row for row in report.rows if row.verdict.outcome == "differs"]
    correct = {row.id: row.correct for row in report.rows if row.correct is not None}
    assert report.labelled == 2000
    assert 0.75 < correct["source"] / 2000 < 0.78
    assert correct["tflite"] == correct["onnx"] == correct["source"]
    assert correct["tflite-int8"] >= authors_int8_correct()
    assert correct["onnx-int8"] >= authors_int8_correct()


def test_the_float_twin_of_its_authors_gives_our_scores(resnet8: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    bundle = Bundle.open(resnet8)
    ours = open_runner(bundle.file(bundle.artifact("tflite"))).scores(bundle.golden.images)
    theirs = Interpreter(str(TINY / "pretrainedResnet.tflite"))
    theirs.allocate_tensors()
    for image, scores in zip(bundle.golden.images, ours, strict=True):
        theirs.set_tensor(theirs.get_input_details()[0]["index"], image[None].astype(np.float32))
        theirs.invoke()
        row = theirs.get_tensor(theirs.get_output_details()[0]["index"])[0]
        assert np.abs(row - scores).max() < 1e-5
