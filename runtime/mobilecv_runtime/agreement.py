"""What it means, for each kind of answer, that two sets of scores agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.heads import Answer
from mobilecv_runtime.spec import FloatArray

THRESHOLD: Final = 0.5
"""The probability from which on a label that stands by itself holds."""
_LOG_FLOOR: Final = 1e-3
"""Probabilities below it count as this much in logarithms: there, rounding is all there is."""
_LEAST_SPREAD: Final = 1e-2
"""A value that varies by less than this share of its size counts as varying by so much: float32
holds no finer differences of a value that is almost constant."""

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Agreement(Protocol):
    """How an artifact's scores are held against the source's, both (images, labels), float32."""

    name: str
    """What two answers agree on, as reports call it."""
    difference: str
    """What a difference is, in words."""
    symbol: str
    """The same for the head of a column."""

    def differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """How far apart every score is, (images, labels)."""

    def log_differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array | None:
        """The largest |difference of ln(probability)| of each image; None for plain values."""

    def same(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """On which images the answers are the same."""

    def near_ties(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """On which images the source itself holds both answers almost equal."""

    def sum_error(self, scores: FloatArray) -> float | None:
        """The largest |sum of probabilities - 1|; None where they need not sum to 1."""


class OneLabel:
    """Labels exclude each other: the most probable one is the answer."""

    name = "top-1"
    difference = "|difference|"
    symbol = "Δp"

    def differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """Of the probabilities."""
        return _absolute(reference, scores)

    def log_differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """Of the labels' probabilities."""
        largest: Float64Array = _absolute(_logarithm(reference), _logarithm(scores)).max(axis=1)
        return largest

    def same(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Whether both have the same label on top."""
        del margin
        return np.asarray(reference.argmax(axis=1) == scores.argmax(axis=1))

    def near_ties(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Whether the source holds the two labels within the margin."""
        rows = np.arange(len(reference))
        best, other = reference.argmax(axis=1), scores.argmax(axis=1)
        return np.asarray(reference[rows, best] - reference[rows, other] <= margin)

    def sum_error(self, scores: FloatArray) -> float:
        """Of an image's probabilities."""
        return float(np.abs(scores.sum(axis=1, dtype=np.float64) - 1).max())


class OwnLabels:
    """Every label stands by itself: the set of those that hold is the answer."""

    name = "label set"
    difference = "|difference|"
    symbol = "Δp"

    def differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """Of the probabilities."""
        return _absolute(reference, scores)

    def log_differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """Of the probabilities that a label holds and that it does not.

        Labels that exclude each other show a fault on the improbable ones; here a label that is
        held for sure has no others beside it.
        """
        held = _absolute(_logarithm(reference), _logarithm(scores))
        not_held = _absolute(_logarithm(1 - reference), _logarithm(1 - scores))
        largest: Float64Array = np.maximum(held, not_held).max(axis=1)
        return largest

    def same(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Whether the same labels reach the threshold."""
        del margin
        return np.asarray(((reference >= THRESHOLD) == (scores >= THRESHOLD)).all(axis=1))

    def near_ties(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Whether the source holds every label that differs within the margin of the threshold."""
        differs = (reference >= THRESHOLD) != (scores >= THRESHOLD)
        return np.asarray((~differs | (np.abs(reference - THRESHOLD) <= margin)).all(axis=1))

    def sum_error(self, scores: FloatArray) -> None:
        """Their sum may be anything."""
        del scores


class Values:
    """Numbers of any size: they are held against the spread of the source's own values.

    The spread of an output is the standard deviation of the source's values over the images, so
    that a difference of 1 is as bad as answering the mean on every image, and one of d leaves
    1 - d^2 of the variance explained.
    """

    name = "values"
    difference = "|difference| / spread"
    symbol = "Δ/spread"

    def differences(self, reference: FloatArray, scores: FloatArray) -> Float64Array:
        """In spreads."""
        exact = reference.astype(np.float64)
        spread = np.maximum(exact.std(axis=0), _LEAST_SPREAD * np.abs(exact).max(axis=0))
        # What is 0 on every image is compared as it is.
        in_spreads: Float64Array = _absolute(reference, scores) / np.where(spread > 0, spread, 1)
        return in_spreads

    def log_differences(self, reference: FloatArray, scores: FloatArray) -> None:
        """There are no probabilities."""
        del reference, scores

    def same(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Whether every value is within the margin, in spreads."""
        return np.asarray((self.differences(reference, scores) <= margin).all(axis=1))

    def near_ties(self, reference: FloatArray, scores: FloatArray, margin: float) -> BoolArray:
        """Values have none."""
        del scores, margin
        return np.zeros(len(reference), np.bool_)

    def sum_error(self, scores: FloatArray) -> None:
        """Their sum may be anything."""
        del scores


AGREEMENTS: Final[Mapping[Answer, Agreement]] = {
    "one label": OneLabel(),
    "labels": OwnLabels(),
    "values": Values(),
}


def _absolute(
    reference: FloatArray | Float64Array, scores: FloatArray | Float64Array
) -> Float64Array:
    difference: Float64Array = np.abs(reference.astype(np.float64) - scores)
    return difference


def _logarithm(probabilities: FloatArray) -> Float64Array:
    logarithm: Float64Array = np.log(np.maximum(probabilities.astype(np.float64), _LOG_FLOOR))
    return logarithm
