"""The real MediaPipe Tasks read our files: labels and scores as an Android app sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobilecv_runtime import Bundle
from tests_shared import run_script

pytestmark = pytest.mark.mediapipe


@pytest.mark.parametrize(
    ("target", "tolerance"), [("tflite", 1e-4), ("tflite-fp16", 5e-3), ("tflite-int8", 5e-2)]
)
def test_mediapipe_gives_our_labels_and_scores(
    target: str, tolerance: float, exported: Path
) -> None:
    bundle = Bundle.open(exported)
    photos = sorted((exported / "golden").glob("*.png"))
    model = bundle.file(bundle.artifact(target))
    done = run_script(
        Path(__file__).with_name("classify_by_mediapipe.py"),
        model,
        *photos,
        without=["tensorflow"],
    )
    answers = json.loads(done.stdout.partition("ANSWERS")[2])
    assert len(answers) == len(bundle.golden.scores) == 16
    names = bundle.contract.labels.names
    for answer, scores in zip(answers, bundle.golden.scores, strict=True):
        assert set(answer) == set(names)
        for name, score in zip(names, scores, strict=True):
            assert answer[name] == pytest.approx(float(score), abs=tolerance)
