"""What is found while an artifact is quantised on calibration photos."""

from __future__ import annotations

from dataclasses import dataclass

from mobilecv.quantisation.coverage import Coverage
from mobilecv.quantisation.rescue.record import Record


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Of one artifact."""

    coverage: Coverage | None
    """How steady the value ranges are; None if the photos are too few to tell."""
    rescue: Record | None
    """What was done to rescue it; None if nothing had to be."""
