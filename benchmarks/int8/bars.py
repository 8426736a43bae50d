"""Holds mobilecv's own int8 files against what they should reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.int8.making import AUTHORS, ONNX_INT8, TFLITE, TFLITE_INT8
from benchmarks.int8.measuring import Report, Result


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One bar, and whether it was reached."""

    network: str
    holds: bool
    words: str


def bars(report: Report) -> list[Claim]:
    """Every bar of a network, with the figure beside it."""
    results = {each.made.name: each for each in report.results}
    claims = [
        claim for name in (TFLITE_INT8, ONNX_INT8) for claim in _answers(report, results[name])
    ]
    return [*claims, *_cost(report, results[TFLITE_INT8])]


def _answers(report: Report, result: Result) -> Iterator[Claim]:
    name, asked, figures = result.made.name, report.network.bars, result.figures
    if figures is None:
        yield _claim(report, f"{name}: {result.remark}", holds=False)
        return
    if asked.drop is not None:
        points = 100 * (figures.correct - report.correct) / report.photos
        bar = -asked.drop
        words = f"{name}: top-1 {points:+.1f} points against float (bar: {bar:+.1f} or more)"
        yield _claim(report, words, holds=points >= bar)
    agreement = figures.comparison.agreement
    words = (
        f"{name}: agreement {agreement:.1%}, near-ties apart {figures.agreement_apart:.1%} (bar: "
        f"{asked.agreement:.0%} or more, near-ties counted)"
    )
    yield _claim(report, words, holds=agreement >= asked.agreement)
    theirs = report.figures(AUTHORS)
    if asked.as_authors and theirs is not None:
        words = (
            f"{name}: {figures.correct} of {report.photos} photos right (bar: the "
            f"{theirs.correct} of its authors' integer file or more)"
        )
        yield _claim(report, words, holds=figures.correct >= theirs.correct)


def _cost(report: Report, result: Result) -> Iterator[Claim]:
    name, asked = result.made.name, report.network.bars
    share, taken, float_taken = (
        report.size_share(result), report.latency(name), report.latency(TFLITE),
    )  # fmt: skip
    if share is not None and asked.size is not None:
        words = f"{name}: {share:.2f} of the size of the float file (bar: {asked.size:.2f} or less)"
        yield _claim(report, words, holds=share <= asked.size)
    if asked.speed is not None and taken is not None and float_taken is not None:
        times = float_taken / taken
        words = f"{name}: {times:.2f} times as fast as float (bar: {asked.speed:.1f} or more)"
        yield _claim(report, words, holds=times >= asked.speed)


def _claim(report: Report, words: str, *, holds: bool) -> Claim:
    return Claim(network=report.network.title, holds=holds, words=words)
