"""Checks one network: exports it from the command line and measures what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.networks import Movement, NetworkMaker
from benchmarks.zoo.rows import Row
from mobilecv.targets import TARGETS
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import MobileCVError
from mobilecv_runtime.runners import open_runner
from mobilecv_runtime.runners.coreml import COREML_SUFFIXES, ExecutedCoremlRunner
from mobilecv_runtime.spec import FloatArray, Precision

Outcome: TypeAlias = Literal["agrees", "differs", "failed"]

_MOVEMENTS: Final[Mapping[Precision, Movement]] = {"float32": "float32", "float16": "float16"}
_LEAST: Final = 1e-4
"""Probabilities below it are left out of the logarithms."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """An artifact's scores against its source's, on the golden images of its bundle."""

    images: int
    agreeing: int
    """Images with the same top-1."""
    confidence: float
    """The median of the source's largest probability."""
    max_difference: float
    """The largest |difference of probability|."""
    max_log_difference: float
    """The largest |difference of ln(probability)| where the source gives 1e-4 or more."""
    estimate: float | None
    """The largest |difference of probability| with float16 rounded after each operation as a
    device would; None for files without float16 arithmetic."""
    moved_source: float | None
    """The largest |difference of probability| of the source itself when nothing but its weights is
    moved: rounded to float16 for a file in float16, by one unit in the last place for one in
    float32; None for the others."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one network came out in one target."""

    row: str
    target: str
    outcome: Outcome
    reason: str
    """Why it failed or differs; empty when it agrees."""
    seconds: float
    """Of the conversion in its worker."""
    peak_memory: int
    """Of the target's worker process up to then, in bytes."""
    source_peak_memory: int
    """Of the process that opens the source, in bytes."""
    source_bytes: int
    bytes: int
    """Of the artifact; 0 if there is none."""
    figures: Figures | None

    def write(self, path: Path) -> None:
        """Keep it as JSON, whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read what `write` kept."""
        values = json.loads(path.read_text(encoding="utf-8"))
        figures = values.pop("figures")
        return cls(figures=Figures(**figures) if figures else None, **values)


class Measurer:
    """Opens artifacts and compares their scores, in a process of its own."""

    def measure(
        self, folder: Path, target: str, moved: NDArray[np.float64] | None = None
    ) -> Figures:
        """Run an artifact of a bundle on the bundle's golden images.

        Args:
            folder: The bundle.
            target: Which artifact.
            moved: What the source answers to the same images with its weights moved,
                (images, labels).
        """
        bundle = Bundle.open(folder)
        path = bundle.file(next(e for e in bundle.manifest.artifacts if e.id == target))
        images, expected = bundle.golden.images, bundle.golden.scores
        scores = open_runner(path).scores(images)
        estimate = None
        if path.suffix in COREML_SUFFIXES and target != "coreml":
            rounded = ExecutedCoremlRunner(path, arithmetic="device-estimate").scores(images)
            estimate = _max_difference(rounded, expected)
        counted = expected >= _LEAST
        logarithms = np.abs(np.log(np.maximum(scores, 1e-30)) - np.log(np.maximum(expected, 1e-30)))
        return Figures(
            images=len(images),
            agreeing=int((scores.argmax(axis=1) == expected.argmax(axis=1)).sum()),
            confidence=float(np.median(expected.max(axis=1))),
            max_difference=_max_difference(scores, expected),
            max_log_difference=float(logarithms[counted].max()),
            estimate=estimate,
            moved_source=None if moved is None else _max_difference(moved, expected),
        )


@dataclass(frozen=True, kw_only=True)
class Photos:
    """What networks are compared on, and calibrated with."""

    folder: Path
    calibration_images: int
    """How many of them calibrate int8."""


def check(row: Row, targets: Sequence[str], work: Path, photos: Photos | None) -> list[Result]:
    """Take a network through some targets, in one export.

    Args:
        row: Which network.
        targets: Ids of targets.
        work: A folder for what is kept, `<row>-<target>.json`; finished ones are not done again.
        photos: None for generated patterns, which cannot calibrate int8.
    """
    results = {target: work / f"{row.id}-{target}.json" for target in targets}
    missing = [target for target, path in results.items() if not path.exists()]
    if missing:
        with tempfile.TemporaryDirectory(dir=work) as name:
            source = _write_source(row, photos.folder if photos else None, Path(name))
            for result in _check_targets(row, missing, source, photos):
                result.write(results[result.target])
    return [Result.read(path) for path in results.values()]


def _write_source(row: Row, images: Path | None, folder: Path) -> Path:
    log = folder / "network.log"
    try:
        with Child(NetworkMaker, row, images, log=log) as child:
            source: Path = child.call("write", folder)
    except MobileCVError:
        print(log.read_text(encoding="utf-8", errors="replace")[-3000:], file=sys.stderr)
        raise
    (folder / "labels.txt").write_text("\n".join(row.labels.names), encoding="utf-8")
    return source


def _check_targets(
    row: Row, targets: Sequence[str], source: Path, photos: Photos | None
) -> Iterator[Result]:
    bundle = source.with_name("bundle")
    done = subprocess.run(
        _command(row, targets, source, bundle, photos),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    entries = {entry["id"]: entry for entry in report.get("manifest", {}).get("artifacts", ())}
    moved = _moved_scores(row, [each for each in targets if each in entries], source, bundle)
    for target in targets:
        figures, reasons = None, [report.get("failures", {}).get(target) or _last_line(done.stderr)]
        if target in entries:
            reasons = entries[target]["parity"]["reasons"]
            with Child(Measurer, log=source.with_name("measure.log")) as child:
                figures = child.call("measure", bundle, target, moved.get(target))
        yield Result(
            row=row.id,
            target=target,
            outcome="failed" if figures is None else "differs" if reasons else "agrees",
            reason="; ".join(reasons),
            seconds=report.get("seconds", {}).get(target, 0.0),
            peak_memory=report.get("peak_memory_bytes", {}).get(target, 0),
            source_peak_memory=report.get("peak_memory_bytes", {}).get("source", 0),
            source_bytes=source.stat().st_size,
            bytes=entries[target]["bytes"] if target in entries else 0,
            figures=figures,
        )


def _moved_scores(
    row: Row, targets: Sequence[str], source: Path, bundle: Path
) -> dict[str, NDArray[np.float64]]:
    """What the source answers to the golden images with its weights moved as a target asks for it.

    Returns:
        Target -> probabilities, (images, labels); without the targets of 8 bits.
    """
    movements: dict[str, Movement] = {
        target: movement
        for target in targets
        if (movement := _MOVEMENTS.get(TARGETS[target].precision))
    }
    if not movements:
        return {}
    images = Bundle.open(bundle).golden.images
    with Child(NetworkMaker, row, None, log=source.with_name("moved.log")) as child:
        scores = {
            movement: child.call("moved_scores", source, images, movement)
            for movement in sorted(set(movements.values()))
        }
    return {target: scores[movement] for target, movement in movements.items()}


def _command(
    row: Row, targets: Sequence[str], source: Path, bundle: Path, photos: Photos | None
) -> list[str | Path]:
    command: list[str | Path] = [sys.executable, "-m", "mobilecv", "export", source]
    command += ["--to", ",".join(targets), "--preset", row.preset, "-o", bundle, "--json"]
    if row.channels == 1:
        command += ["--color", "GRAY"]
    if row.framework == "torch":
        command += ["--architecture", row.constructor, "--size", str(row.size)]
        command += ["--architecture-args", json.dumps(dict(row.arguments))]
    if photos is not None:
        command += ["--images", photos.folder]
        if any(TARGETS[target].needs_calibration for target in targets):
            command += ["--calibration", photos.folder]
            command += ["--calibration-images", str(photos.calibration_images)]
    return command


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:400] if lines else "the export said nothing"


def _max_difference(scores: FloatArray, expected: FloatArray) -> float:
    return float(np.abs(scores.astype(np.float64) - expected).max())
