"""What a rescue tried, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mobilecv_runtime.parity import Verdict


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One int8 file, measured."""

    step: str
    """The rung of the ladder; `plain` for where it started."""
    words: str
    """What was changed."""
    verdict: Verdict
    """On the held-out photos, against the float file."""
    golden: Verdict
    """On the golden images, against the float file."""
    divergence: float
    """The mean Kullback-Leibler divergence of the answers on the held-out photos, in nats."""
    bytes: int
    latency: float
    """The median time of one photo on this computer, in seconds."""
    in_float: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether it passes, on the held-out photos and on the golden images."""
        return self.verdict.outcome == self.golden.outcome == "agrees"

    @property
    def agreement(self) -> float:
        """The share of held-out photos with the float file's top-1 label."""
        return self.verdict.comparison.agreement if self.verdict.comparison else 0.0

    def is_beaten_by(self, other: Trial) -> bool:
        """Whether another is at least as good in size, speed and agreement, and better in one."""
        mine = (self.bytes, self.latency, -self.agreement)
        theirs = (other.bytes, other.latency, -other.agreement)
        return mine != theirs and all(a <= b for a, b in zip(theirs, mine, strict=True))


@dataclass(frozen=True, kw_only=True)
class Record:
    """The whole rescue."""

    held_out: int
    """The photos that decided, none of which gave ranges."""
    trials: tuple[Trial, ...]
    """In the order in which they were made."""
    kept: Trial
    """The one whose file was written."""
    fallback: str
    """The target to use if it does not agree."""

    @property
    def front(self) -> list[Trial]:
        """The trials that none other beats in size, speed and agreement (the Pareto front)."""
        return [
            trial
            for trial in self.trials
            if not any(trial.is_beaten_by(other) for other in self.trials)
        ]

    @property
    def summary(self) -> str:
        """One sentence for the report."""
        plain, kept = self.trials[0].agreement, self.kept.agreement
        if not self.kept.agrees:
            return (
                f"int8 cannot hold this network: agreement {kept:.0%} after "
                f"{len(self.trials)} attempts ({plain:.0%} when plain, on {self.held_out} held-out "
                f"photos); use {self.fallback}"
            )
        if self.kept is self.trials[0]:
            return (
                f"agrees with ranges from every other photo: {kept:.1%} on {self.held_out} "
                "held-out photos"
            )
        return (
            f"rescued by {self.kept.words}: agreement {plain:.1%} -> {kept:.1%} on "
            f"{self.held_out} held-out photos"
        )

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, without times, which no two runs share."""
        return {
            "outcome": "rescued" if self.kept.agrees else "not rescued",
            "summary": self.summary,
            "held_out_photos": self.held_out,
            "in_float": list(self.kept.in_float),
            "trials": [
                {
                    "step": trial.step,
                    "change": trial.words,
                    "kept": trial is self.kept,
                    "agreement": trial.agreement,
                    "divergence": trial.divergence if trial.divergence < float("inf") else None,
                    "bytes": trial.bytes,
                    "outcome": "agrees" if trial.agrees else "differs",
                }
                for trial in self.trials
            ],
        }
