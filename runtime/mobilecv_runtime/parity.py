"""Does an artifact give the source's answers? Numbers, top-1, labels, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.spec import FloatArray, Labels, Precision

Outcome: TypeAlias = Literal["agrees", "differs", "skipped"]

_SUM_TOLERANCE: Final = {"float32": 1e-4, "float16": 5e-3, "int8-weights": 1e-3, "int8": 2e-2}
_LOG_FLOOR: Final = 1e-3
"""Probabilities below it count as this much in logarithms: there, rounding is all there is."""
_WILSON_Z: Final = 1.959964  # the two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artifact of one precision may stray from its source."""

    max_difference: float
    """Of one probability on one image."""
    mean_difference: float
    """Of an image's largest difference of probability, averaged over the images."""
    mean_log_difference: float
    """Of an image's largest difference of ln(probability), averaged over the images. It shows
    faults that leave a confident model's labels as they are, such as one averaged std."""
    agreement: float
    """The least share of images with the same top-1 label, near-ties apart. Below 1, a single image
    never decides: among sixteen it would be 6 %."""
    near_tie: float
    """A disagreement on top-1 is a near-tie if the source holds both labels within this much."""


TOLERANCES: Final[Mapping[Precision, Tolerance]] = {
    "float32": Tolerance(
        max_difference=1e-5,
        mean_difference=1e-5,
        mean_log_difference=1e-3,
        agreement=1.0,
        near_tie=2e-5,
    ),
    "float16": Tolerance(
        max_difference=2e-2,
        mean_difference=5e-3,
        mean_log_difference=6e-2,
        agreement=1.0,
        near_tie=2e-2,
    ),
    "int8-weights": Tolerance(
        max_difference=1.0,
        mean_difference=5e-2,
        mean_log_difference=math.inf,
        agreement=0.97,
        near_tie=0.1,
    ),
    "int8": Tolerance(
        max_difference=1.0,
        mean_difference=8e-2,
        mean_log_difference=math.inf,
        agreement=0.97,
        near_tie=0.1,
    ),
}
"""float32: what summing in another order costs (Optimum and the Hugging Face exporters use 1e-5 and
1e-4). float16: weights rounded to 11 bits cost up to 1e-2 on
confident networks of ImageNet size, and up to 0.02 in the mean of ln p on the networks measured
here, where a std off by 5 % costs 0.08. int8: "within 2 %" is usual for per-channel quantisation
(arXiv 1806.08342); one image may move a lot without harm, so its largest difference is reported and
not judged."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sets of scores on the same images, side by side."""

    images: int
    agreeing: int
    """Images on which both have the same top-1 label."""
    near_ties: int
    """Images on which they have not, but the source holds the two labels almost equal."""
    max_difference: float
    """The largest |difference of probability| on any image."""
    mean_difference: float
    """The images' largest |difference of probability|, averaged."""
    mean_log_difference: float
    """The images' largest |difference of ln(probability)|, averaged. Probabilities below 0.001
    count as 0.001."""
    worst_image: str
    """The image with the largest difference."""
    not_finite: int
    """Images on which the artifact answered NaN or infinity."""
    largest_sum_error: float
    """The largest |sum of probabilities - 1| of the artifact."""

    @property
    def agreement(self) -> float:
        """The share of images with the same top-1 label."""
        return self.agreeing / self.images

    @property
    def agreement_interval(self) -> tuple[float, float]:
        """The 95 % interval of the agreement."""
        return wilson_interval(self.agreeing, self.images)

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        low, high = self.agreement_interval
        return {
            "images": self.images,
            "top1_agreement": self.agreement,
            "top1_agreement_95": [low, high],
            "near_ties": self.near_ties,
            "max_difference": _finite_or_none(self.max_difference),
            "mean_difference": _finite_or_none(self.mean_difference),
            "mean_log_difference": _finite_or_none(self.mean_log_difference),
            "worst_image": self.worst_image,
            "not_finite": self.not_finite,
            "largest_sum_error": _finite_or_none(self.largest_sum_error),
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known about one artifact; a skip is a verdict with a reason."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    """Why it differs or was skipped; empty when it agrees."""
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        figures = self.comparison.to_json() if self.comparison else {}
        return {"outcome": self.outcome, "reasons": list(self.reasons), **figures}


def skipped(reason: str) -> Verdict:
    """A verdict that says why nothing could be compared."""
    return Verdict(outcome="skipped", reasons=(reason,))


def compare(
    reference: FloatArray, scores: FloatArray, *, near_tie: float, names: Sequence[str]
) -> Comparison:
    """Hold an artifact's scores against the source's.

    Args:
        reference: (images, labels), float32 probabilities of the source.
        scores: The same of the artifact.
        near_tie: See `Tolerance.near_tie`.
        names: One name per image, for the report.

    Raises:
        ValueError: If the shapes differ or there are no images.
    """
    if reference.shape != scores.shape or not len(reference):
        raise ValueError(f"{reference.shape} against {scores.shape}: cannot be compared")
    differences = np.abs(reference.astype(np.float64) - scores)
    finite = np.isfinite(scores).all(axis=1)
    per_image = np.where(finite, differences.max(axis=1, initial=0), np.inf)
    rows = np.arange(len(reference))
    best, other = reference.argmax(axis=1), scores.argmax(axis=1)
    same: NDArray[np.bool_] = (best == other) & finite
    ties = ~same & finite & (reference[rows, best] - reference[rows, other] <= near_tie)
    worst = int(per_image.argmax())
    return Comparison(
        images=len(reference),
        agreeing=int(same.sum()),
        near_ties=int(ties.sum()),
        max_difference=float(per_image[worst]),
        mean_difference=float(per_image.mean()),
        mean_log_difference=float(_log_differences(reference, scores).mean()),
        worst_image=names[worst],
        not_finite=int((~finite).sum()),
        largest_sum_error=float(np.abs(scores.sum(axis=1, dtype=np.float64) - 1).max()),
    )


def judge(comparison: Comparison, precision: Precision) -> Verdict:
    """Hold a comparison against the tolerance of the artifact's precision."""
    tolerance = TOLERANCES[precision]
    judged = comparison.images - comparison.near_ties
    agreement = comparison.agreeing / judged if judged else 1.0
    allowed = max((1 - tolerance.agreement) * judged, 1) if tolerance.agreement < 1 else 0
    claims = (
        (comparison.not_finite > 0, f"NaN or infinity on {comparison.not_finite} images"),
        (
            comparison.max_difference > tolerance.max_difference,
            (
                f"max |difference| {comparison.max_difference:.2g} is above "
                f"{tolerance.max_difference:g} (worst: {comparison.worst_image})"
            ),
        ),
        (
            comparison.mean_difference > tolerance.mean_difference,
            f"mean |difference| {comparison.mean_difference:.2g} is above "
            f"{tolerance.mean_difference:g}",
        ),
        (
            comparison.mean_log_difference > tolerance.mean_log_difference,
            f"mean |difference of ln p| {comparison.mean_log_difference:.2g} is above "
            f"{tolerance.mean_log_difference:g}; is the normalisation or the colour order off?",
        ),
        (
            judged - comparison.agreeing > allowed,
            f"top-1 agreement {agreement:.1%} (near-ties apart) is below {tolerance.agreement:.0%}",
        ),
        (
            not comparison.largest_sum_error <= _SUM_TOLERANCE[precision],
            f"probabilities miss a sum of 1 by {comparison.largest_sum_error:.2g}; "
            "is a softmax missing?",
        ),
    )
    reasons = tuple(reason for holds, reason in claims if holds)
    outcome: Outcome = "differs" if reasons else "agrees"
    return Verdict(outcome=outcome, reasons=reasons, comparison=comparison)


def labels_verdict(expected: Labels, found: Sequence[str] | None) -> str | None:
    """Compare labels by name and order, which no number can show.

    Returns:
        What is wrong with the artifact's labels, or None.
    """
    if found is None:
        return "it carries no labels"
    if tuple(found) == expected.names:
        return None
    if len(found) != len(expected):
        return f"it carries {len(found)} labels instead of {len(expected)}"
    first = next(i for i, name in enumerate(found) if name != expected.names[i])
    moved = "in another order" if set(found) == set(expected.names) else "different"
    return (
        f"its labels are {moved}: number {first} is {found[first]!r} "
        f"instead of {expected.names[first]!r}"
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, JASA 22:209).

    Returns:
        (low, high), both in 0..1.
    """
    share, z2 = successes / trials, _WILSON_Z**2
    centre = share + z2 / (2 * trials)
    spread = _WILSON_Z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _log_differences(reference: FloatArray, scores: FloatArray) -> NDArray[np.float64]:
    """The largest |difference of ln(probability)| of each image."""
    logs = [np.log(np.maximum(each.astype(np.float64), _LOG_FLOOR)) for each in (reference, scores)]
    largest: NDArray[np.float64] = np.abs(logs[0] - logs[1]).max(axis=1)
    return largest


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
