"""Climbs the ladder until an int8 file agrees with its float twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mobilecv.quantisation.rescue.bias_correction import CorrectBiases
from mobilecv.quantisation.rescue.candidate import Candidate, Context, Step
from mobilecv.quantisation.rescue.equalisation import Equalise
from mobilecv.quantisation.rescue.float_layers import KeepInFloat
from mobilecv.quantisation.rescue.measuring import divergence, scores_of
from mobilecv.quantisation.rescue.network import FloatNetwork
from mobilecv.quantisation.rescue.range_rules import OtherRanges
from mobilecv.quantisation.rescue.record import Record, Trial
from mobilecv_runtime.parity import Verdict
from mobilecv_runtime.spec import FloatArray, UInt8Array
from mobilecv_runtime.verdicts import scores_verdict

LADDER: Final[tuple[Step, ...]] = (OtherRanges(), Equalise(), CorrectBiases(), KeepInFloat())
"""The cheapest first: what costs nothing at run time, then what does. 16-bit activations are no
rung: LiteRT runs them in its reference kernels, ten times slower than int8."""

FEWEST_PHOTOS: Final = 20
"""Half of the photos decide: with fewer, nothing could be decided."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """An int8 file."""

    model: bytes
    record: Record | None
    """What was done to rescue it; None for a plain one."""


def rescued_if_needed(
    plain: Callable[[], bytes],
    network: Callable[[], FloatNetwork],
    photos: UInt8Array,
    golden: UInt8Array | None,
) -> Made:
    """Plain int8 if it agrees with the float network, and what a rescue makes of it otherwise.

    Args:
        plain: Gives the plain file, whose ranges come from all photos.
        network: Gives the float network.
        photos: (count, height, width, channels), uint8: the calibration set.
        golden: The images that the bundle keeps; None to leave the plain file as it is.
    """
    model = plain()
    if golden is None or len(photos) < FEWEST_PHOTOS:
        return Made(model=model, record=None)
    twin = network()
    if agrees(model, twin, photos, golden):
        return Made(model=model, record=None)
    return rescue(twin, photos, golden)


def agrees(quantised: bytes, network: FloatNetwork, photos: UInt8Array, golden: UInt8Array) -> bool:
    """Whether an int8 file passes against its float twin, on the photos and the golden images."""
    return all(
        _Referee.of(network, images).judge(quantised, network.suffix)[0].outcome == "agrees"
        for images in (golden, photos)
    )


def rescue(network: FloatNetwork, photos: UInt8Array, golden: UInt8Array) -> Made:
    """Find the smallest change with which int8 agrees with the float network.

    Args:
        network: The float network.
        photos: (count, height, width, channels), uint8: at least FEWEST_PHOTOS of the calibration
            set. Every other one gives ranges; the rest decides.
        golden: The images that the bundle keeps, on which it must agree as well.

    Returns:
        The first file that agrees; if none does, the one whose answers are the nearest.
    """
    measured, held_out = photos[::2], photos[1::2]
    referees = _Referee.of(network, held_out), _Referee.of(network, golden)
    expected = scores_of(network.to_bytes(), network.suffix, measured).scores
    context = Context(photos=measured, expected=expected)
    best = Candidate(network=network, rule=network.usual_rule)
    kept, model = _trial("plain", best, context, referees)
    trials = [kept]
    for step in LADDER:
        start = best
        for candidate in step.apply(start, context):
            if kept.agrees:
                break
            trial, file = _trial(step.name, candidate, context, referees)
            trials.append(trial)
            if trial.agrees or trial.divergence < kept.divergence:
                best, kept, model = candidate, trial, file
    record = Record(
        held_out=len(held_out), trials=tuple(trials), kept=kept, fallback=network.fallback
    )
    return Made(model=model, record=record)


@dataclass(frozen=True, kw_only=True)
class _Referee:
    """Images with the float network's answers to them."""

    images: UInt8Array
    expected: FloatArray

    @classmethod
    def of(cls, network: FloatNetwork, images: UInt8Array) -> _Referee:
        scores = scores_of(network.to_bytes(), network.suffix, images).scores
        return cls(images=images, expected=scores)

    def judge(self, model: bytes, suffix: str) -> tuple[Verdict, float, float]:
        """(verdict, divergence in nats, seconds per image) of an int8 file."""
        found = scores_of(model, suffix, self.images)
        names = [f"photo {number}" for number in range(len(self.images))]
        verdict = scores_verdict(found.scores, "int8", self.expected, names)
        return verdict, divergence(self.expected, found.scores), found.latency


def _trial(
    step: str, candidate: Candidate, context: Context, referees: tuple[_Referee, _Referee]
) -> tuple[Trial, bytes]:
    model, suffix = candidate.quantised(context), candidate.network.suffix
    held_out, golden = referees
    verdict, distance, latency = held_out.judge(model, suffix)
    trial = Trial(
        step=step,
        words=candidate.words,
        verdict=verdict,
        golden=golden.judge(model, suffix)[0],
        divergence=distance,
        bytes=len(model),
        latency=latency,
        in_float=candidate.in_float,
    )
    return trial, model
