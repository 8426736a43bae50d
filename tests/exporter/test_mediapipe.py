"""The real MediaPipe Tasks read our files: labels and scores as an Android app sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mobilecv_runtime import Bundle

pytestmark = pytest.mark.mediapipe

# MediaPipe warns and logs a lot, so it has a process of its own.
_CLASSIFY = """
import json, sys
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions
options = ImageClassifierOptions(BaseOptions(model_asset_path=sys.argv[1]))
answers = []
with ImageClassifier.create_from_options(options) as classifier:
    for path in sys.argv[2:]:
        result = classifier.classify(mp.Image.create_from_file(path))
        answers.append({c.category_name: c.score for c in result.classifications[0].categories})
print("ANSWERS" + json.dumps(answers))
"""


@pytest.mark.parametrize(
    ("target", "tolerance"), [("tflite", 1e-4), ("tflite-fp16", 5e-3), ("tflite-int8", 5e-2)]
)
def test_mediapipe_gives_our_labels_and_scores(
    target: str, tolerance: float, exported: Path
) -> None:
    bundle = Bundle.open(exported)
    photos = sorted((exported / "golden").glob("*.png"))
    model = bundle.file(bundle.artifact(target))
    done = subprocess.run(
        [sys.executable, "-c", _CLASSIFY, model, *photos],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.partition("ANSWERS")[2])
    assert len(answers) == len(bundle.golden.scores) == 16
    names = bundle.contract.labels.names
    for answer, scores in zip(answers, bundle.golden.scores, strict=True):
        assert set(answer) == set(names)
        for name, score in zip(names, scores, strict=True):
            assert answer[name] == pytest.approx(float(score), abs=tolerance)
