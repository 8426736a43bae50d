"""Runs files on photos as an app would, and says how far their answers are from the float ones."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.heads import Answer
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
    """The median time of one photo, in seconds."""


def scores_of(model: bytes, suffix: str, photos: UInt8Array, *, threads: int = 1) -> Answers:
    """Run a file on photos, one by one.

    Args:
        model: A `.tflite` or `.onnx` file.
        suffix: Which of them.
        photos: (count, height, width, channels), uint8.
        threads: How many threads one photo may use.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{suffix}")
        path.write_bytes(model)
        return scores_of_file(path, photos, threads=threads)


def scores_of_file(path: Path, photos: UInt8Array, *, threads: int = 1) -> Answers:
    """Run an artifact on photos, one by one; see `scores_of`."""
    runner = open_runner(path, threads=threads)
    scores, times = [], []
    for photo in photos:
        started = time.perf_counter()
        scores.append(runner.scores(photo[None]))
        times.append(time.perf_counter() - started)
    return Answers(scores=np.concatenate(scores), latency=statistics.median(times))


def divergence(expected: FloatArray, scores: FloatArray, answer: Answer = "one label") -> float:
    """How far scores are from the expected ones, averaged over images.

    Args:
        expected: (images, labels): the float file's scores.
        scores: The same of another file.
        answer: What they are: the Kullback-Leibler divergence of probabilities, summed over yes
            and no of each label where labels stand by themselves; for values, the mean squared
            difference in variances of the expected ones.

    Returns:
        In nats, for values without a unit; infinite if a score is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        return float("inf")
    true, found = expected.astype(np.float64), scores.astype(np.float64)
    if answer == "values":
        return float(((found - true) ** 2 / np.maximum(true.var(axis=0), _FLOOR)).mean())
    sides = [(true, found), (1 - true, 1 - found)] if answer == "labels" else [(true, found)]
    # Of almost equal scores, rounding may leave a sum below zero.
    return max(sum(_kullback_leibler(*side) for side in sides), 0.0)


def _kullback_leibler(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    true, other = np.maximum(expected, _FLOOR), np.maximum(found, _FLOOR)
    return float((true * np.log(true / other)).sum(axis=1).mean())
