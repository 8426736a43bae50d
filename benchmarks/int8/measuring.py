"""Measures the files of one network: answers on the test photos, size, arithmetic and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.int8.making import AUTHORS, Files, Made
from benchmarks.int8.networks import Network
from mobilecv import sources
from mobilecv_runtime.bench import Contender, NotTimed, Timing, measure
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import MobileCVError
from mobilecv_runtime.inspection import inspect
from mobilecv_runtime.parity import TOLERANCES, Comparison, compare
from mobilecv_runtime.photos import Photo, PhotoFolder, PreparedPhotos
from mobilecv_runtime.runners import Runner, open_runner
from mobilecv_runtime.runners.tflite import TfliteRunner
from mobilecv_runtime.spec import FloatArray, Labels, UInt8Array

_RUNS: Final = 200
_ROUNDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of one file."""

    correct: int
    comparison: Comparison
    """Its scores against the float source's."""
    integer_share: float
    """The share of the multiply-adds that runs in integers."""
    timing: Timing | NotTimed

    @property
    def agreement_apart(self) -> float:
        """The agreement on the photos that are no near-ties, as `mobilecv verify` judges it."""
        judged = self.comparison.images - self.comparison.near_ties
        return self.comparison.agreeing / judged if judged else 1.0

    @property
    def latency(self) -> float | None:
        """The median time of one photo in seconds; None if it could not be timed."""
        return self.timing.percentile(0.5) if isinstance(self.timing, Timing) else None

    @property
    def is_noisy(self) -> bool:
        """Whether the rounds of its timing differ much."""
        return isinstance(self.timing, Timing) and self.timing.is_noisy


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of a table."""

    made: Made
    figures: Figures | None
    """None if the file is not there, or cannot be run."""
    remark: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """One table."""

    network: Network
    calibration: int
    photos: int
    correct: int
    """Photos on which the float source is right."""
    results: tuple[Result, ...]
    seconds: float
    """Of everything: building, exporting, quantising, measuring."""

    def figures(self, name: str | None) -> Figures | None:
        """What was measured of a file, if it is there."""
        return next((each.figures for each in self.results if each.made.name == name), None)

    def latency(self, name: str) -> float | None:
        """The median time of one photo in seconds, if it was measured."""
        figures = self.figures(name)
        return figures.latency if figures else None

    def size_share(self, result: Result) -> float | None:
        """The size of a file as a share of its float twin's; None for a float file."""
        twin = self.figures(result.made.float_twin)
        if twin is None or result.figures is None:
            return None
        return result.figures.timing.bytes / twin.timing.bytes


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """The photos that are measured on, with the float source's answers."""

    __test__ = False  # no test of pytest's, for all its name

    pixels: UInt8Array
    names: Sequence[str]
    truth: NDArray[np.int64]
    scores: FloatArray

    @classmethod
    def of(cls, files: Files, network: Network, folder: Path, labels: Labels) -> TestSet:
        """Prepare the photos of a folder and let the source answer."""
        contract = files.bundle.contract
        photos: list[Photo] = []
        pixels: list[UInt8Array] = []
        prepared = PreparedPhotos(PhotoFolder.find(folder, labels).photos, contract.image)
        for batch, batch_pixels in prepared.batches():
            photos.extend(batch)
            pixels.append(batch_pixels)
        log = files.bundle.path.with_name("source.log")
        arguments = (files.source, network.loading, contract, None)
        with Child(sources.open_reference, *arguments, log=log) as source:
            scores = [source.call("scores", each) for each in pixels]
        return cls(
            pixels=np.concatenate(pixels),
            names=[photo.path.name for photo in photos],
            truth=np.array([-1 if photo.truth is None else photo.truth for photo in photos]),
            scores=np.concatenate(scores),
        )

    def correct(self, scores: FloatArray) -> int:
        """How many photos some scores name right."""
        return int((scores.argmax(axis=1) == self.truth).sum())


class BytesRunner(TfliteRunner):
    """A `.tflite` of others that takes the photo's own bytes, less 128 where it wants int8."""

    def _quantized(self, pixels: UInt8Array) -> NDArray[np.int8 | np.uint8]:
        if np.dtype(self._input["dtype"]) == np.uint8:
            return pixels
        return (pixels.astype(np.int16) - 128).astype(np.int8)


def measured(files: Files, test: TestSet) -> tuple[Result, ...]:
    """Measure every file; the times interleaved, with one thread."""
    contenders = [
        Contender(
            name=made.name, make=_opener(made.name, made.path), bytes=made.path.stat().st_size
        )
        for made in files.files
        if made.path is not None
    ]
    timings = measure(contenders, test.pixels[:1], runs=_RUNS, rounds=_ROUNDS)
    by_name = {timing.name: timing for timing in timings}
    log = files.bundle.path.with_name("scores.log")
    return tuple(_result(made, test, by_name, log) for made in files.files)


def _opener(name: str, path: Path) -> Callable[[], Runner]:
    return partial(BytesRunner if name == AUTHORS else open_runner, path, threads=1)


def _result(made: Made, test: TestSet, timings: dict[str, Timing | NotTimed], log: Path) -> Result:
    if made.path is None:
        return Result(made=made, figures=None, remark=made.remark)
    try:
        # In a process of its own: Linux hands the peak memory of a process on to its children, and
        # the next network's quantisers are children of this one.
        with Child(_opener(made.name, made.path), log=log) as runner:
            scores = runner.call("scores", test.pixels)
    except MobileCVError as error:
        return Result(made=made, figures=None, remark=str(error))
    census = inspect(made.path).census
    near_tie = TOLERANCES["int8" if made.float_twin else "float32"].near_tie
    figures = Figures(
        correct=test.correct(scores),
        comparison=compare(test.scores, scores, near_tie=near_tie, names=test.names),
        integer_share=census.integer_share if census else 0.0,
        timing=timings[made.name],
    )
    return Result(made=made, figures=figures, remark=made.remark)
