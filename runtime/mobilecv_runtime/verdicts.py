"""Asks an artifact the questions whose right answers are known, and judges what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError, MissingDependencyError
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.parity import (
    Verdict,
    compare,
    judge,
    labels_verdict,
    skipped,
    tolerance_of,
)
from mobilecv_runtime.precision import precision_faults
from mobilecv_runtime.runners import ArtifactRunner, open_runner
from mobilecv_runtime.runners.base import Signature
from mobilecv_runtime.spec import Color, Contract, FloatArray, Precision, UInt8Array

_LAYOUTS: Final[Mapping[Color, tuple[str, ...]]] = {
    "RGB": ("RGB",),
    # Core ML may reverse the channels on the image input, or the graph may.
    "BGR": ("BGR", "RGB"),
    "GRAY": ("GRAY",),
}
"""The model's channel order -> the colour layouts that an image input may have for it."""


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


class Promise(Protocol):
    """What apps are told about an artifact: by its target at the export, then by the manifest."""

    @property
    def input(self) -> Mapping[str, Any]:
        """The image input, with its `name`."""

    @property
    def output(self) -> Mapping[str, Any]:
        """The probabilities, with their `name` and that of the best `label`, if there is one."""

    @property
    def minimum_runtime(self) -> str:
        """The oldest runtime that reads it, such as `iOS 15`."""


def artifact_verdict(
    path: Path, precision: Precision, contract: Contract, promise: Promise, images: ScoredImages
) -> Verdict:
    """Run one artifact on images and judge it; what cannot be run is skipped with the reason."""
    try:
        made_wrong = precision_verdict(path, precision)
        if made_wrong is not None:
            return made_wrong
        runner = open_runner(path)
    except (MissingDependencyError, UnsupportedError) as error:
        return skipped(_without(path, error))
    except BundleError as error:
        return Verdict(outcome="differs", reasons=(_without(path, error),))
    wrong = words_verdict(runner, contract, promise)
    if wrong is not None:
        return wrong
    scores = runner.scores(images.pixels)
    return scores_verdict(scores, precision, images.scores, images.names, contract.head.answer)


def _without(path: Path, error: Exception) -> str:
    """What an error says, without the file that the report names anyway."""
    return str(error).removeprefix(f"{path}: ")


def words_verdict(runner: ArtifactRunner, contract: Contract, promise: Promise) -> Verdict | None:
    """What is wrong with an artifact by its own words, if anything: the contract, the promise."""
    return contract_verdict(runner, contract) or promise_verdict(runner, promise)


def contract_verdict(runner: ArtifactRunner, contract: Contract) -> Verdict | None:
    """What is wrong with labels, contract and image of an artifact by its own words, if anything.

    It is asked before any number is compared, which hides some of it: labels always, and the colour
    order of a network that looks at shapes only.
    """
    signature = runner.signature
    found = (
        labels_verdict(contract.labels, runner.label_names),
        _image_fault(signature, contract),
        "the contract in the file is not that of the bundle; export the model again"
        if runner.contract != contract
        else None,
    )
    return _differs(found)


def precision_verdict(path: Path, precision: Precision) -> Verdict | None:
    """What of a file contradicts the precision that it is sold under, if anything."""
    return _differs(precision_faults(path, precision))


def _image_fault(signature: Signature, contract: Contract) -> str | None:
    if signature.image_shape != contract.image.shape:
        return (
            f"it takes images of {_by(signature.image_shape)} (height, width, channels) instead of "
            f"{_by(contract.image.shape)}"
        )
    allowed = _LAYOUTS[contract.preprocessing.color]
    if signature.color is not None and signature.color not in allowed:
        return (
            f"its image input has the colour layout {signature.color} instead of "
            f"{' or '.join(allowed)}; export the model again"
        )
    return None


def promise_verdict(runner: ArtifactRunner, promise: Promise) -> Verdict | None:
    """What an artifact does not keep of that which apps are promised, if anything."""
    signature = runner.signature
    outputs = {promise.output["name"], promise.output.get("label", promise.output["name"])}
    return _differs(
        (
            _names_fault("input", {promise.input["name"]}, signature.inputs),
            _names_fault("output", outputs, signature.outputs),
            _age_fault(promise.minimum_runtime, signature.minimum_runtime),
        )
    )


def _names_fault(kind: str, promised: set[str], found: Sequence[str]) -> str | None:
    missing = ", ".join(sorted(promised - set(found)))
    return f"it has no {kind} {missing}, only {', '.join(found)}" if missing else None


def _age_fault(promised: str, needed: str | None) -> str | None:
    if needed is None or _ios(needed) <= _ios(promised):
        return None
    return f"it needs {needed}, but the manifest promises {promised}; export the model again"


def _ios(words: str) -> tuple[int, ...]:
    """The version in `iOS 11.2`; of an unknown runtime none, which is older than any."""
    name, _, version = words.partition(" ")
    return tuple(map(int, version.split("."))) if name == "iOS" else ()


def _differs(found: Sequence[str | None]) -> Verdict | None:
    reasons = tuple(reason for reason in found if reason)
    return Verdict(outcome="differs", reasons=reasons) if reasons else None


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def scores_verdict(
    scores: FloatArray,
    precision: Precision,
    expected: FloatArray,
    names: Sequence[str],
    answer: Answer,
) -> Verdict:
    """Judge scores against the source's; see `mobilecv_runtime.parity`."""
    if scores.shape != expected.shape:
        reason = f"it answers {scores.shape[-1]} scores instead of {expected.shape[-1]}"
        return Verdict(outcome="differs", reasons=(reason,))
    near_tie = tolerance_of(precision, answer).near_tie
    with np.errstate(invalid="ignore"):  # NaN is judged, not warned of.
        compared = compare(expected, scores, near_tie=near_tie, names=names, answer=answer)
    return judge(compared, precision)
