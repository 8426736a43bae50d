"""Runs files on photos as an app would, and says how far their answers are from the float ones."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mobilecv_runtime.runners import open_runner
from mobilecv_runtime.spec import FloatArray, UInt8Array

_FLOOR: Final = 1e-6
"""Probabilities below it count as this much."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a file says on some photos."""

    scores: FloatArray
    """(count, labels), float32."""
    latency: float
    """The median time of one photo on one thread, in seconds."""


def scores_of(model: bytes, suffix: str, photos: UInt8Array) -> Answers:
    """Run a file on photos, one by one.

    Args:
        model: A `.tflite` or `.onnx` file.
        suffix: Which of them.
        photos: (count, height, width, channels), uint8.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{suffix}")
        path.write_bytes(model)
        runner = open_runner(path)
    scores, times = [], []
    for photo in photos:
        started = time.perf_counter()
        scores.append(runner.scores(photo[None]))
        times.append(time.perf_counter() - started)
    return Answers(scores=np.concatenate(scores), latency=statistics.median(times))


def divergence(expected: FloatArray, scores: FloatArray) -> float:
    """The Kullback-Leibler divergence of scores from the expected ones, averaged over images.

    Args:
        expected: (images, labels), probabilities.
        scores: The same of another file.

    Returns:
        In nats; infinite if a score is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        return float("inf")
    true = np.maximum(expected.astype(np.float64), _FLOOR)
    found = np.maximum(scores.astype(np.float64), _FLOOR)
    # Of almost equal scores, rounding may leave a sum below zero.
    return max(float((true * np.log(true / found)).sum(axis=1).mean()), 0.0)
