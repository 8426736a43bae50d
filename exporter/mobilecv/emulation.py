"""What an app's answers would be if another library resized the photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mobilecv_runtime.child import Worker
from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.parity import Comparison, compare, tolerance_of
from mobilecv_runtime.photos import Photo
from mobilecv_runtime.resizers import RESIZERS, emulate
from mobilecv_runtime.spec import Contract, FloatArray

_JUDGED_AS: Final = "float16"
"""The precision whose near-ties count."""


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """The source model on photos that were resized in another way."""

    resizer: str
    """One of `mobilecv_runtime.resizers.RESIZERS`."""
    comparison: Comparison
    """Against the source's own scores on the exact pixels."""
    correct: int | None
    """Photos of known class that it named right; None without such photos."""

    def to_json(self) -> dict[str, Any]:
        """The emulation as JSON values."""
        return {"resizer": self.resizer, "correct": self.correct, **self.comparison.to_json()}


def check_resizers(names: Sequence[str]) -> None:
    """Refuse a resizer that is not known.

    Raises:
        UsageError: If there is one.
    """
    unknown = [name for name in names if name not in RESIZERS]
    if unknown:
        raise UsageError(f"--emulate {unknown[0]}: unknown; choose from: {', '.join(RESIZERS)}")


class Emulations:
    """Collects the source's answers on photos resized in other ways, batch by batch."""

    def __init__(self, names: Sequence[str], contract: Contract, source: Worker) -> None:
        """Start with nothing seen.

        Args:
            names: Of `RESIZERS`.
            contract: Says to which size the photos are brought, and what the scores are.
            source: Answers `scores(pixels)`.
        """
        self._image, self._answer = contract.image, contract.head.answer
        self._source = source
        self._scores: dict[str, list[FloatArray]] = {name: [] for name in names}
        self._exact: list[FloatArray] = []
        self._photos: list[Photo] = []

    def run(self, photos: Sequence[Photo], exact: FloatArray) -> None:
        """Take a batch.

        Args:
            photos: Which photos.
            exact: The source's scores on them, prepared exactly.
        """
        self._photos.extend(photos)
        self._exact.append(exact)
        for name, scores in self._scores.items():
            pixels = [emulate(photo.path, self._image, RESIZERS[name]) for photo in photos]
            scores.append(self._source.call("scores", np.stack(pixels)))

    def results(self) -> Iterator[Emulation]:
        """What was seen, by resizer."""
        names = [str(photo.path) for photo in self._photos]
        for resizer, batches in self._scores.items() if self._photos else ():
            scores = np.concatenate(batches)
            compared = compare(
                np.concatenate(self._exact),
                scores,
                near_tie=tolerance_of(_JUDGED_AS, self._answer).near_tie,
                names=names,
                answer=self._answer,
            )
            yield Emulation(resizer=resizer, comparison=compared, correct=self._correct(scores))

    def _correct(self, scores: FloatArray) -> int | None:
        truths = [photo.truth for photo in self._photos]
        if self._answer == "values" or all(truth is None for truth in truths):
            return None
        return sum(int(best) == truth for best, truth in zip(scores.argmax(1), truths, strict=True))
