"""The step that clips the values elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mobilecv.quantisation.ranges import RANGE_RULES
from mobilecv.quantisation.rescue.candidate import Candidate, Context


class OtherRanges:
    """Tries every other rule for value ranges: nothing but scales and zero points changes."""

    name = "ranges"

    def apply(self, candidate: Candidate, context: Context) -> Iterator[Candidate]:  # noqa: ARG002
        """One candidate per rule."""
        for rule in RANGE_RULES:
            if rule != candidate.rule:
                yield dataclasses.replace(candidate, rule=rule)
