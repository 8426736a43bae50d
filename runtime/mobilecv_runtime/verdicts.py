"""Asks an artifact the questions whose right answers are known, and judges what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError, MissingDependencyError
from mobilecv_runtime.parity import (
    TOLERANCES,
    Verdict,
    compare,
    judge,
    labels_verdict,
    skipped,
)
from mobilecv_runtime.runners import Runner, open_runner
from mobilecv_runtime.spec import Contract, FloatArray, Precision, UInt8Array


@dataclass(frozen=True, kw_only=True)
class ScoredImages:
    """Images with the source's scores on them."""

    pixels: UInt8Array
    """(count, height, width, channels), uint8."""
    scores: FloatArray
    """(count, labels), float32."""
    names: Sequence[str]
    """One per image, for the report."""

    @classmethod
    def golden(cls, pixels: UInt8Array, scores: FloatArray) -> ScoredImages:
        """The golden images of a bundle."""
        names = [f"golden/{number:03}.png" for number in range(len(pixels))]
        return cls(pixels=pixels, scores=scores, names=names)


def artifact_verdict(
    path: Path, precision: Precision, contract: Contract, images: ScoredImages
) -> Verdict:
    """Run one artifact on images and judge it; what cannot be run is skipped with the reason."""
    try:
        runner = open_runner(path)
    except (MissingDependencyError, UnsupportedError) as error:
        return skipped(_without(path, error))
    except BundleError as error:
        return Verdict(outcome="differs", reasons=(_without(path, error),))
    wrong = contract_verdict(runner, contract)
    if wrong is not None:
        return wrong
    scores = runner.scores(images.pixels)
    return scores_verdict(scores, precision, images.scores, images.names)


def _without(path: Path, error: Exception) -> str:
    """What an error says, without the file that the report names anyway."""
    return str(error).removeprefix(f"{path}: ")


def contract_verdict(runner: Runner, contract: Contract) -> Verdict | None:
    """What is wrong with the labels and the contract that an artifact carries, if anything."""
    wrong = labels_verdict(contract.labels, runner.label_names)
    if wrong is None and runner.contract != contract:
        wrong = "the contract in the file is not that of the bundle; export the model again"
    return Verdict(outcome="differs", reasons=(wrong,)) if wrong else None


def scores_verdict(
    scores: FloatArray, precision: Precision, expected: FloatArray, names: Sequence[str]
) -> Verdict:
    """Judge scores against the source's; see `mobilecv_runtime.parity`."""
    if scores.shape != expected.shape:
        reason = f"it answers {scores.shape[-1]} scores instead of {expected.shape[-1]}"
        return Verdict(outcome="differs", reasons=(reason,))
    near_tie = TOLERANCES[precision].near_tie
    with np.errstate(invalid="ignore"):  # NaN is judged, not warned of.
        return judge(compare(expected, scores, near_tie=near_tie, names=names), precision)
