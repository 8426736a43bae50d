"""How fast and how large: every contender in a process of its own, rounds interleaved."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import MobileCVError
from mobilecv_runtime.images import prepare
from mobilecv_runtime.runners import Runner, open_runner
from mobilecv_runtime.spec import ImageInput, UInt8Array

WARMUP_RUNS: Final = 3
_NOISY: Final = 0.2
"""Rounds whose medians spread by more than this share of their median are called noisy."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something to be timed."""

    name: str
    make: Callable[[], Runner]
    """Opens it; importable by name, since it runs in a process of its own."""
    bytes: int
    """Its size on disk."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was measured of one contender. Times are in seconds, for one image."""

    name: str
    engine: str
    """What ran it."""
    bytes: int
    load: float
    """From nothing to ready, imports of the engine included."""
    first: float
    """The first inference."""
    rounds: tuple[tuple[float, ...], ...]
    """Every sample, round by round."""
    peak_memory: int
    """The largest resident memory of its process, in bytes."""

    @property
    def samples(self) -> list[float]:
        """All samples, sorted."""
        return sorted(sample for samples in self.rounds for sample in samples)

    def percentile(self, share: float) -> float:
        """The sample below which that share of all samples lies (nearest rank)."""
        return self.samples[min(len(self.samples) - 1, int(share * len(self.samples)))]

    @property
    def is_noisy(self) -> bool:
        """Whether the rounds differ so much that small differences mean nothing."""
        medians = [statistics.median(samples) for samples in self.rounds]
        return max(medians) - min(medians) > _NOISY * statistics.median(medians)

    def to_json(self) -> dict[str, Any]:
        """The timing as JSON values, in milliseconds and bytes."""
        return {
            "name": self.name,
            "engine": self.engine,
            "bytes": self.bytes,
            "load_ms": self.load * 1e3,
            "first_ms": self.first * 1e3,
            "p50_ms": self.percentile(0.50) * 1e3,
            "p90_ms": self.percentile(0.90) * 1e3,
            "p99_ms": self.percentile(0.99) * 1e3,
            "images_per_second": 1 / self.percentile(0.50),
            "peak_memory_bytes": self.peak_memory,
            "noisy": self.is_noisy,
            "samples_ms": [[sample * 1e3 for sample in samples] for samples in self.rounds],
        }


@dataclass(frozen=True, kw_only=True)
class NotTimed:
    """A contender that could not be timed, and why."""

    name: str
    bytes: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON values."""
        return {"name": self.name, "bytes": self.bytes, "skipped": self.reason}


class Stopwatch:
    """Lives in a contender's process and times it there."""

    def __init__(self, make: Callable[[], Runner]) -> None:
        """Open the contender; what that takes is its load time."""
        started = time.perf_counter()
        self._runner = make()
        self._load = time.perf_counter() - started

    def start(self, pixels: UInt8Array) -> tuple[float, float]:
        """Run for the first time, then warm up.

        Args:
            pixels: One image, (1, height, width, channels), uint8.

        Returns:
            Load time and time of the first inference, in seconds.
        """
        first = self._time(pixels)
        for _ in range(WARMUP_RUNS):
            self._time(pixels)
        return self._load, first

    def engine(self) -> str:
        """What runs it."""
        return self._runner.engine

    def round(self, pixels: UInt8Array, runs: int) -> tuple[float, ...]:
        """Run that often; the seconds of each."""
        return tuple(self._time(pixels) for _ in range(runs))

    def _time(self, pixels: UInt8Array) -> float:
        started = time.perf_counter()
        self._runner.scores(pixels)
        return time.perf_counter() - started


def contenders(bundle: Bundle, *, threads: int) -> list[Contender]:
    """Every artifact of a bundle as a contender."""
    return [
        Contender(
            name=entry.id,
            make=partial(open_runner, bundle.file(entry), threads=threads),
            bytes=entry.bytes,
        )
        for entry in bundle.manifest.artifacts
    ]


def measure(
    contenders: Sequence[Contender],
    pixels: UInt8Array,
    *,
    runs: int = 50,
    rounds: int = 5,
    notice: Callable[[str], None] = lambda _: None,
) -> list[Timing | NotTimed]:
    """Time all contenders, in turn within each round, so that a drifting machine hits all alike.

    Args:
        contenders: What to time.
        pixels: One image, (1, height, width, channels), uint8.
        runs: Inferences of each contender, shared out over the rounds.
        rounds: How often each contender has its turn.
        notice: Told what is going on, in one line each time.

    Returns:
        One entry per contender, in their order.
    """
    per_round = max(1, -(-runs // rounds))
    watches: dict[str, Child] = {}
    started: dict[str, tuple[float, float]] = {}
    engines: dict[str, str] = {}
    failed: dict[str, str] = {}
    samples: dict[str, list[tuple[float, ...]]] = {each.name: [] for each in contenders}
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bench.log"
        for each in contenders:
            notice(f"loading {each.name}")
            try:
                watch = stack.enter_context(Child(Stopwatch, each.make, log=log))
                started[each.name] = watch.call("start", pixels)
                engines[each.name] = watch.call("engine")
                watches[each.name] = watch
            except MobileCVError as error:
                failed[each.name] = str(error)
        for number in range(rounds):
            notice(f"round {number + 1} of {rounds}")
            for name, watch in watches.items():
                samples[name].append(watch.call("round", pixels, per_round))
        return [
            NotTimed(name=each.name, bytes=each.bytes, reason=failed[each.name])
            if each.name in failed
            else Timing(
                name=each.name,
                engine=engines[each.name],
                bytes=each.bytes,
                load=started[each.name][0],
                first=started[each.name][1],
                rounds=tuple(samples[each.name]),
                peak_memory=watches[each.name].peak_memory,
            )
            for each in contenders
        ]


def measure_preprocessing(image: ImageInput, *, runs: int = 10) -> float:
    """The median seconds from a 1280x960 JPEG to the prepared pixels, on this machine."""
    gradient = np.linspace(0, 255, 1280 * 960 * 3).reshape(960, 1280, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(gradient).save(file, "JPEG")
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        prepare(Image.open(file), image)
        taken.append(time.perf_counter() - started)
        file.seek(0)
    return statistics.median(taken)
