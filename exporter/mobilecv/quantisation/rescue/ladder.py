"""Climbs the ladder until an int8 file agrees with its float twin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobilecv.quantisation.findings import Findings
from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.networks.threads import usable_threads
from mobilecv.quantisation.plain import plain_int8
from mobilecv.quantisation.ranges import USUAL_RULE
from mobilecv.quantisation.rescue.candidate import Candidate, Context, Step
from mobilecv.quantisation.rescue.equalisation import Equalise
from mobilecv.quantisation.rescue.float_layers import KeepInFloat
from mobilecv.quantisation.rescue.measuring import (
    Answers,
    divergence,
    scores_of,
    scores_of_file,
)
from mobilecv.quantisation.rescue.range_rules import OtherRanges
from mobilecv.quantisation.rescue.record import Record, Trial
from mobilecv_runtime.child import tell
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.parity import Verdict
from mobilecv_runtime.spec import FloatArray, UInt8Array
from mobilecv_runtime.verdicts import scores_verdict

LADDER: Final[tuple[Step, ...]] = (OtherRanges(), Equalise(), KeepInFloat())
"""The cheapest first: what costs nothing at run time, then what does. 16-bit activations with 8-bit
weights are no rung: LiteRT has no fast kernels for them. On one desktop core, int8 and int16x8 took
0.04 and 9 ms for the MLPerf Tiny ResNet8, 0.12 and 4.6 ms for its visual wake words network."""

_LEAST_GAIN: Final = 0.9
"""A change that does not agree yet is kept if it takes a tenth off the divergence: less than that
is chance, and every change is one more thing to explain."""

_CHECKED: Final = 100
"""How many calibration photos a plain file is checked on, besides the golden images."""

FEWEST_PHOTOS: Final = 20
"""Half of the photos decide: with fewer, nothing could be decided."""


@dataclass(frozen=True, kw_only=True)
class FloatFile:
    """What an int8 file must agree with."""

    path: Path
    """A `.tflite` or `.onnx`."""
    answer: Answer = "one label"
    """What its scores are."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """An int8 file."""

    model: bytes
    findings: Findings


def quantised(
    network: FloatNetwork, twin: FloatFile, photos: UInt8Array, golden: UInt8Array | None
) -> Made:
    """Plain int8 if it agrees with the float file, and what a rescue makes of it otherwise.

    Args:
        network: The float network.
        twin: The float file that it was read from.
        photos: (count, height, width, channels), uint8: the calibration set.
        golden: The images that the bundle keeps; None to leave the plain file as it is.
    """
    plain = plain_int8(network, photos)
    made = Made(model=plain.model, findings=Findings(coverage=plain.coverage, rescue=None))
    if golden is None or len(photos) < FEWEST_PHOTOS:
        return made
    tell("holding int8 against float on calibration photos")
    referees = (
        _Referee.of_file(twin, golden),
        _Referee.of(twin, photos[:_CHECKED], plain.float_answers[:_CHECKED]),
    )
    if all(each.judge(each.answers(plain.model)).outcome == "agrees" for each in referees):
        return made
    model, record = rescue(network, twin, photos, golden, plain.float_answers)
    return Made(model=model, findings=Findings(coverage=plain.coverage, rescue=record))


def rescue(
    network: FloatNetwork,
    twin: FloatFile,
    photos: UInt8Array,
    golden: UInt8Array,
    expected: FloatArray,
) -> tuple[bytes, Record]:
    """Find the smallest change with which int8 agrees with the float network.

    Args:
        network: The float network.
        twin: The float file that it was read from.
        photos: (count, height, width, channels), uint8: at least FEWEST_PHOTOS of the calibration
            set. Every other one gives ranges; the rest decides.
        golden: The images that the bundle keeps, on which it must agree as well.
        expected: (count, labels): the float network's scores on the photos.

    Returns:
        The first file that agrees, and what was tried; if none agrees, a file whose answers are
        the nearest or almost so.
    """
    referees = _Referee.of(twin, photos[1::2], expected[1::2]), _Referee.of_file(twin, golden)
    context = Context(photos=photos[::2], expected=expected[::2], answer=twin.answer)
    best = Candidate(network=network, rule=USUAL_RULE)
    kept, model = _trial("plain", best, context, referees)
    trials = [kept]
    for step in LADDER:
        if kept.agrees:
            break
        for candidate in step.apply(best, context):
            trial, file = _trial(step.name, candidate, context, referees)
            trials.append(trial)
            if trial.agrees or trial.divergence < _LEAST_GAIN * kept.divergence:
                best, kept, model = candidate, trial, file
            if trial.agrees:
                break
        context.keep(best.network)
    return model, Record(
        held_out=len(photos[1::2]), trials=tuple(trials), kept=kept, fallback=network.fallback
    )


@dataclass(frozen=True, kw_only=True)
class _Referee:
    """Images with the float network's answers to them."""

    images: UInt8Array
    expected: FloatArray
    suffix: str
    answer: Answer

    @classmethod
    def of(cls, twin: FloatFile, images: UInt8Array, expected: FloatArray) -> _Referee:
        return cls(images=images, expected=expected, suffix=twin.path.suffix, answer=twin.answer)

    @classmethod
    def of_file(cls, twin: FloatFile, images: UInt8Array) -> _Referee:
        """With the answers that the file gives."""
        scores = scores_of_file(twin.path, images, threads=usable_threads()).scores
        return cls.of(twin, images, scores)

    def answers(self, model: bytes, *, threads: int | None = None) -> Answers:
        """What an int8 file says on the images; as fast as it can, if no threads are given."""
        return scores_of(model, self.suffix, self.images, threads=threads or usable_threads())

    def judge(self, answers: Answers) -> Verdict:
        """What an int8 file's answers are worth."""
        names = [f"photo {number}" for number in range(len(self.images))]
        return scores_verdict(answers.scores, "int8", self.expected, names, self.answer)


def _trial(
    step: str, candidate: Candidate, context: Context, referees: tuple[_Referee, _Referee]
) -> tuple[Trial, bytes]:
    tell(f"rescue: {candidate.words}")
    model = candidate.quantised(context)
    held_out, golden = referees
    # One thread, as the times of `bench`.
    answers = held_out.answers(model, threads=1)
    trial = Trial(
        step=step,
        words=candidate.words,
        verdict=held_out.judge(answers),
        golden=golden.judge(golden.answers(model)),
        divergence=divergence(held_out.expected, answers.scores, held_out.answer),
        bytes=len(model),
        latency=answers.latency,
        in_float=candidate.in_float,
    )
    return trial, model
