"""Does an artifact give the source's answers? Numbers, answers, labels, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from mobilecv_runtime.agreement import AGREEMENTS
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.spec import FloatArray, Labels, Precision

Outcome: TypeAlias = Literal["agrees", "differs", "skipped"]

_SUM_TOLERANCE: Final = {"float32": 1e-4, "float16": 5e-3, "int8-weights": 1e-3, "int8": 2e-2}
_LEAST_VARIATION: Final = 1e-3
"""Of a source's probabilities from image to image; of plain values as a share of the largest."""
_WILSON_Z: Final = 1.959964  # the two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artifact of one precision may stray from its source; see `agreement`."""

    max_difference: float
    """Of one probability on one image; of plain values in spreads."""
    mean_difference: float
    """Of an image's largest difference, averaged over the images."""
    mean_log_difference: float
    """Of an image's largest difference of ln(probability), averaged over the images. It shows
    faults that leave a confident model's labels as they are, such as one averaged std."""
    agreement: float
    """The least share of images with the same answer, near-ties apart. Below 1, a single image
    never decides: among sixteen it would be 6 %."""
    near_tie: float
    """A disagreement on top-1 is a near-tie if the source holds both labels within this much; one
    on a label that stands by itself, if it holds it within this much of 0.5. Plain values are the
    same answer within this many spreads."""


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

_VALUE_TOLERANCES: Final[Mapping[Precision, Tolerance]] = {
    "float32": Tolerance(
        max_difference=1e-4,
        mean_difference=1e-4,
        mean_log_difference=math.inf,
        agreement=1.0,
        near_tie=1e-4,
    ),
    "float16": Tolerance(
        max_difference=6e-2,
        mean_difference=2e-2,
        mean_log_difference=math.inf,
        agreement=1.0,
        near_tie=6e-2,
    ),
    "int8-weights": Tolerance(
        max_difference=math.inf,
        mean_difference=0.15,
        mean_log_difference=math.inf,
        agreement=0.97,
        near_tie=0.25,
    ),
    "int8": Tolerance(
        max_difference=math.inf,
        mean_difference=0.15,
        mean_log_difference=math.inf,
        agreement=0.97,
        near_tie=0.25,
    ),
}
"""Of plain values, in spreads. float32: the logits of an ImageNet ResNet50, whose spread is above
1, differ by up to 4e-5 when they are summed in another order. float16: of such logits, ln p differs
by up to 0.02 in the mean (see above). int8: a mean difference of 0.15 leaves 98 % of the variance
explained, one of 0.25 leaves 94 %; one image may move a lot without harm, as above."""


def tolerance_of(precision: Precision, answer: Answer) -> Tolerance:
    """How far an artifact of one precision may stray with one kind of answer."""
    return (_VALUE_TOLERANCES if answer == "values" else TOLERANCES)[precision]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sets of scores on the same images, side by side."""

    images: int
    answer: Answer
    """What the scores are, and so what is meant by an agreement and a difference."""
    agreeing: int
    """Images on which both have the same answer: the same top-1 label, the same set of labels, or
    values within the tolerance."""
    near_ties: int
    """Images on which they have not, but the source holds the two answers almost equal."""
    max_difference: float
    """The largest |difference| of a probability on any image; of plain values in spreads."""
    mean_difference: float
    """The images' largest |difference|, averaged."""
    mean_log_difference: float | None
    """The images' largest |difference of ln(probability)|, averaged. Probabilities below 0.001
    count as 0.001. None for plain values."""
    worst_image: str
    """The image with the largest difference."""
    not_finite: int
    """Images on which the artifact answered NaN or infinity."""
    largest_sum_error: float | None
    """The largest |sum of probabilities - 1| of the artifact; None where they need not sum to 1."""

    @property
    def agreement(self) -> float:
        """The share of images with the same answer."""
        return self.agreeing / self.images

    @property
    def agreement_interval(self) -> tuple[float, float]:
        """The 95 % interval of the agreement."""
        return wilson_interval(self.agreeing, self.images)

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        low, high = self.agreement_interval
        name = _JSON_NAMES[self.answer]
        return {
            "images": self.images,
            f"{name}_agreement": self.agreement,
            f"{name}_agreement_95": [low, high],
            "near_ties": self.near_ties,
            "max_difference": _finite_or_none(self.max_difference),
            "mean_difference": _finite_or_none(self.mean_difference),
            "mean_log_difference": _finite_or_none(self.mean_log_difference),
            "worst_image": self.worst_image,
            "not_finite": self.not_finite,
            "largest_sum_error": _finite_or_none(self.largest_sum_error),
        }


_JSON_NAMES: Final[Mapping[Answer, str]] = {
    "one label": "top1",
    "labels": "label_set",
    "values": "values",
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
    reference: FloatArray,
    scores: FloatArray,
    *,
    near_tie: float,
    names: Sequence[str],
    answer: Answer = "one label",
) -> Comparison:
    """Hold an artifact's scores against the source's.

    Args:
        reference: (images, labels), float32 scores of the source.
        scores: The same of the artifact.
        near_tie: See `Tolerance.near_tie`.
        names: One name per image, for the report.
        answer: What the scores are.

    Raises:
        ValueError: If the shapes differ or there are no images.
    """
    if reference.shape != scores.shape or not len(reference):
        raise ValueError(f"{reference.shape} against {scores.shape}: cannot be compared")
    agreement = AGREEMENTS[answer]
    finite = np.isfinite(scores).all(axis=1)
    differences = agreement.differences(reference, scores).max(axis=1, initial=0)
    per_image = np.where(finite, differences, np.inf)
    same = agreement.same(reference, scores, near_tie) & finite
    ties = ~same & finite & agreement.near_ties(reference, scores, near_tie)
    logarithmic = agreement.log_differences(reference, scores)
    worst = int(per_image.argmax())
    return Comparison(
        images=len(reference),
        answer=answer,
        agreeing=int(same.sum()),
        near_ties=int(ties.sum()),
        max_difference=float(per_image[worst]),
        mean_difference=float(per_image.mean()),
        mean_log_difference=None if logarithmic is None else float(logarithmic.mean()),
        worst_image=names[worst],
        not_finite=int((~finite).sum()),
        largest_sum_error=agreement.sum_error(scores),
    )


def judge(comparison: Comparison, precision: Precision) -> Verdict:
    """Hold a comparison against the tolerance of the artifact's precision."""
    tolerance = tolerance_of(precision, comparison.answer)
    agreed = AGREEMENTS[comparison.answer]
    logarithmic, sum_error = comparison.mean_log_difference, comparison.largest_sum_error
    judged = comparison.images - comparison.near_ties
    agreement = comparison.agreeing / judged if judged else 1.0
    allowed = max((1 - tolerance.agreement) * judged, 1) if tolerance.agreement < 1 else 0
    claims = (
        (comparison.not_finite > 0, f"NaN or infinity on {comparison.not_finite} images"),
        (
            comparison.max_difference > tolerance.max_difference,
            (
                f"max {agreed.difference} {comparison.max_difference:.2g} is above "
                f"{tolerance.max_difference:g} (worst: {comparison.worst_image})"
            ),
        ),
        (
            comparison.mean_difference > tolerance.mean_difference,
            f"mean {agreed.difference} {comparison.mean_difference:.2g} is above "
            f"{tolerance.mean_difference:g}",
        ),
        (
            logarithmic is not None and logarithmic > tolerance.mean_log_difference,
            f"mean |difference of ln p| {logarithmic or 0:.2g} is above "
            f"{tolerance.mean_log_difference:g}; is the normalisation or the colour order off?",
        ),
        (
            judged - comparison.agreeing > allowed,
            f"{agreed.name} agreement {agreement:.1%} (near-ties apart) is below "
            f"{tolerance.agreement:.0%}",
        ),
        (
            sum_error is not None and not sum_error <= _SUM_TOLERANCE[precision],
            f"probabilities miss a sum of 1 by {sum_error or 0:.2g}; is a softmax missing?",
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


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def indifference(scores: FloatArray, answer: Answer) -> str | None:
    """A warning if a source answers all images alike: any file agrees with it there.

    So does a network without its trained weights, and one that gets images of another kind, or
    normalised in another way, than in training.

    Args:
        scores: The source's, (images, labels).
        answer: What they are.
    """
    variation = float(np.ptp(scores, axis=0).max())
    size = float(np.abs(scores).max()) if answer == "values" else 1.0
    if len(scores) < 2 or not variation <= _LEAST_VARIATION * size:
        return None
    return (
        f"the source answers all {len(scores)} images alike (its scores vary by {variation:.1e} at "
        "most), so that files agree whatever they compute: are its trained weights there, the "
        "normalisation right, and the images of the kind that it knows?"
    )
