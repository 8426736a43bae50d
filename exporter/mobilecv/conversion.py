"""Runs the targets' converters in worker processes, two per format or two for all.

The targets that convert the captured network share a process, and so its imports: those of a
format, or of all formats where the network is small, since every import of TensorFlow takes 5 s.
Those that are made from a float artifact share another, which holds no framework while it
quantises. When one kills its process, the failure is that target's alone: a fresh process goes on
with the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobilecv.lean_workers import lean, unused_by_converter
from mobilecv.progress import Progress
from mobilecv.quantisation.findings import Findings
from mobilecv.quantisation.rescue.record import Record
from mobilecv.targets import TARGETS, Job, Target
from mobilecv_runtime.child import Child
from mobilecv_runtime.digests import size_of
from mobilecv_runtime.errors import MissingDependencyError, MobileCVError, WorkerError

_SMALL: Final = 1 << 25
"""Bytes of a captured network whose formats share processes: what one leaves behind in memory
hardly adds to the next."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How one target came out."""

    target: Target
    path: Path
    """The artifact; not there if it failed."""
    error: MobileCVError | None
    seconds: float
    peak_memory: int
    """Of the worker process up to then, in bytes."""
    findings: Findings | None = None
    """What the calibration photos showed; None if it takes none."""

    @property
    def rescue(self) -> Record | None:
        """What was done to rescue an int8 artifact; None if nothing had to be."""
        return self.findings.rescue if self.findings else None


class Converter:
    """Lives in a worker process and runs conversions there."""

    def convert(self, target: str, job: Job) -> Findings | None:
        """Write one artifact; see `Target.convert`."""
        return TARGETS[target].convert(job)


def with_bases(targets: Sequence[Target]) -> list[Target]:
    """The targets in the registry's order, with the float ones that they start from."""
    needed = {target.id for target in targets}
    needed |= {target.starts_from for target in targets if target.starts_from}
    return [target for target in TARGETS.values() if target.id in needed]


def convert_all(
    targets: Sequence[Target],
    job_for: Callable[[Target], Job],
    *,
    log: Path,
    progress: Progress,
    timeout_s: float | None,
) -> list[Conversion]:
    """Convert every target; a failed one does not stop the others.

    Args:
        targets: What to convert, each behind the one that it starts from.
        job_for: The job of a target.
        log: Where the converters' own output goes.
        progress: Told about each conversion.
        timeout_s: How long one conversion may take.
    """
    jobs = {target.id: job_for(target) for target in targets}
    families: dict[Hashable, list[Target]] = {}
    for target in sorted(targets, key=lambda each: each.is_derived):
        families.setdefault(_process(target, jobs[target.id]), []).append(target)
    done: dict[str, Conversion] = {}
    for family in families.values():
        with _Family(log, progress, timeout_s) as workers:
            for target in family:
                progress.begin(target.id)
                conversion = workers.convert(target, jobs[target.id], done)
                done[target.id] = conversion
                outcome = f"failed: {conversion.error}" if conversion.error else "converted"
                progress.end(target.id, outcome, conversion.seconds)
    return [done[target.id] for target in targets]


def _process(target: Target, job: Job) -> Hashable:
    """Targets for which it is the same one share a process."""
    shares = size_of(job.capture.path) < _SMALL
    unused = unused_by_converter(target, job.capture)
    return target.is_derived, unused, "" if shares else target.format


class _Family:
    """The worker process of some targets, started again after a death."""

    def __init__(self, log: Path, progress: Progress, timeout_s: float | None) -> None:
        self._log, self._progress, self._timeout_s = log, progress, timeout_s
        self._current = ""
        self._child: Child | None = None

    def __enter__(self) -> _Family:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def convert(self, target: Target, job: Job, done: dict[str, Conversion]) -> Conversion:
        started, self._current = time.perf_counter(), target.id
        error = self._base_error(target, done)
        memory, findings = 0, None
        if error is None:
            try:
                if self._child is None:
                    unused = unused_by_converter(target, job.capture)
                    self._child = Child(
                        lean,
                        Converter,
                        unused,
                        log=self._log,
                        timeout_s=self._timeout_s,
                        told=lambda text: self._progress.within(self._current, text),
                    )
                findings = self._child.call("convert", target.id, job)
            except MobileCVError as raised:
                error = raised
            memory = self._child.peak_memory if self._child else 0
            if isinstance(error, WorkerError):
                self._end()
        return Conversion(
            target=target,
            path=job.output,
            error=error,
            seconds=time.perf_counter() - started,
            peak_memory=memory,
            findings=findings,
        )

    def _base_error(self, target: Target, done: dict[str, Conversion]) -> MobileCVError | None:
        base = done.get(target.starts_from or "")
        if base is None or base.error is None:
            return None
        kind = type(base.error) if isinstance(base.error, MissingDependencyError) else WorkerError
        return kind(f"starts from {base.target.id}, which failed: {base.error}")

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
