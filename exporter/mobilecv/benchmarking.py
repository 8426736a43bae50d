"""The bench journey: every artifact of a bundle and its source, timed side by side."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mobilecv import sources
from mobilecv.lean_workers import lean, unused_by_source
from mobilecv.progress import SILENT, Progress
from mobilecv.reopening import loading_of
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv_runtime.bench import (
    Contender,
    NotTimed,
    Timing,
    contenders,
    measure,
    measure_preprocessing,
)
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import size_of
from mobilecv_runtime.errors import UsageError

SOURCE = "source"
DEVICES = ("cpu",)


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """What was measured, and on what."""

    bundle: Path
    device: str
    threads: int
    machine: str
    timings: Sequence[Timing | NotTimed]
    preprocessing: float
    """Median seconds from a 1280x960 JPEG to prepared pixels."""

    @property
    def is_noisy(self) -> bool:
        """Whether the machine was too busy for small differences to mean anything."""
        return any(timing.is_noisy for timing in self.timings if isinstance(timing, Timing))

    @property
    def has_artifacts(self) -> bool:
        """Whether any artifact could be timed; the source alone is no comparison."""
        return any(isinstance(timing, Timing) and timing.name != SOURCE for timing in self.timings)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, in milliseconds and bytes."""
        return {
            "bundle": str(self.bundle),
            "device": self.device,
            "threads": self.threads,
            "machine": self.machine,
            "noisy": self.is_noisy,
            "preprocessing_ms": self.preprocessing * 1e3,
            "timings": [timing.to_json() for timing in self.timings],
        }


def benchmark(
    bundle: str | Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    runs: int = 50,
    progress: Progress = SILENT,
    loading: LoadOptions = NOTHING_STATED,
) -> BenchReport:
    """Time every artifact and the source, each in its own process, in interleaved rounds.

    Args:
        bundle: The bundle folder.
        device: `cpu`; phones' GPUs and neural engines cannot be measured from here.
        threads: How many threads one inference may use.
        runs: How many inferences to time of each.
        progress: Told how it goes.
        loading: Code that may run to load the source, besides what the user let `export` run.

    Raises:
        BundleError: If the bundle is damaged.
        UsageError: If a number is below 1, or the device is unknown.
    """
    if device not in DEVICES:
        raise UsageError(f"--device {device}: unknown device; choose from: {', '.join(DEVICES)}")
    if threads < 1 or runs < 1:
        raise UsageError("--threads and --runs must be at least 1")
    opened = Bundle.open(bundle)
    timings = measure(
        [*_source(opened, threads, loading, progress), *contenders(opened, threads=threads)],
        opened.golden.images[:1],
        runs=runs,
        notice=progress.note,
    )
    return BenchReport(
        bundle=opened.path,
        device=device,
        threads=threads,
        machine=_machine(),
        timings=timings,
        preprocessing=measure_preprocessing(opened.contract.image),
    )


def _source(
    bundle: Bundle, threads: int, stated: LoadOptions, progress: Progress
) -> list[Contender]:
    path = bundle.source_path
    if path is None or not path.exists():
        return []
    loading, reason = loading_of(bundle, path, stated)
    if loading is None:
        progress.note(f"source: left out: {reason}")
        return []
    unused = unused_by_source(path, loading)
    arguments = path.absolute(), loading, bundle.contract, threads
    make = partial(lean, sources.open_reference, unused, *arguments)
    return [Contender(name=SOURCE, make=make, bytes=size_of(path))]


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{processor}, {platform.system()}"
