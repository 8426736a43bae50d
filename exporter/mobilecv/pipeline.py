"""The export journey: from a trained model to a bundle whose artifacts have been checked."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from mobilecv import sources
from mobilecv.apps import app_kind, check_showable, place_bundle, runnable
from mobilecv.captures import Capture
from mobilecv.conversion import Conversion, convert_all, with_bases
from mobilecv.lean_workers import lean, unused_by_source
from mobilecv.options import ModelOptions, Resolved, find_labels, resolve
from mobilecv.photosets import CalibrationSet, PhotoSet, calibration_set, golden_set
from mobilecv.progress import SILENT, Progress
from mobilecv.quantisation.coverage import Coverage
from mobilecv.quantisation.rescue.ladder import FEWEST_PHOTOS
from mobilecv.quantisation.rescue.record import Record
from mobilecv.reopening import recorded
from mobilecv.sources import trust
from mobilecv.sources.base import SourceDescription
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv.targets import TARGETS, Job, Target
from mobilecv.writing import BundleWriter
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.child import Child, InProcess, Worker
from mobilecv_runtime.digests import digest_of, size_of
from mobilecv_runtime.errors import ConversionError, OutputError, UsageError
from mobilecv_runtime.inspection import Inspection, inspect
from mobilecv_runtime.manifest import (
    ArtifactEntry,
    CalibrationEntry,
    Manifest,
    SourceEntry,
)
from mobilecv_runtime.parity import Verdict, indifference
from mobilecv_runtime.photos import check_folder, holds_photos
from mobilecv_runtime.spec import Contract, FloatArray
from mobilecv_runtime.verdicts import ScoredImages, artifact_verdict

SOURCE_STEP = "source"
CALIBRATION_NAME: Final = "calibration"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How to export, apart from what is stated about the model itself."""

    targets: Sequence[str] = ("all",)
    """Target ids, or `all`."""
    output: Path | None = None
    """The bundle folder; `<stem>-mobilecv` in the current folder by default."""
    calibration: Path | None = None
    """A folder of photos for the value ranges of int8; by default `calibration` beside the model,
    if there is one."""
    calibration_images: int = 200
    """How many of them to use."""
    rescue: bool = True
    """Repair an int8 artifact that does not agree with its float twin."""
    images: Path | None = None
    """A folder of photos to keep golden images of; by default the calibration folder."""
    force: bool = False
    """Replace an earlier bundle."""
    timeout_s: float | None = None
    """How long one conversion may take."""
    apps: Sequence[Path] = ()
    """Folders with a sample app, to put the bundle into."""

    def with_photos_beside(self, model: Path) -> ExportOptions:
        """The options with the photos that lie beside a model, where no folder is stated."""
        folder = model.parent / CALIBRATION_NAME
        if self.calibration is not None or not holds_photos(folder):
            return self
        return dataclasses.replace(self, calibration=folder)


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export made."""

    bundle: Bundle
    verdicts: Mapping[str, Verdict]
    """Target id -> verdict on the golden images."""
    seconds: Mapping[str, float]
    """Target id -> how long its conversion took."""
    peak_memory: Mapping[str, int]
    """Target id -> the largest resident memory of its worker so far, in bytes; also `source`."""
    failures: Mapping[str, str]
    """Target id -> why its conversion failed."""
    left_out: Mapping[str, str]
    """Target id -> why `all` did not include it."""
    notes: Sequence[str] = field(default_factory=tuple)
    """What was assumed."""
    rescues: Mapping[str, Record] = field(default_factory=dict)
    """Target id -> what was done to rescue an int8 artifact that did not agree."""
    apps: Mapping[Path, str] = field(default_factory=dict)
    """App folder -> why the bundle was not put into it; empty if it was."""


_DEFAULTS: Final = ExportOptions()
_NOTHING_STATED: Final = ModelOptions()


def export(
    model: str | Path | object,
    options: ExportOptions = _DEFAULTS,
    model_options: ModelOptions = _NOTHING_STATED,
    progress: Progress = SILENT,
    loading: LoadOptions = NOTHING_STATED,
) -> ExportReport:
    """Convert a trained classifier, check every artifact against it, and write the bundle.

    Args:
        model: The path of a model file, or a model in memory.
        options: Targets, output and photos.
        model_options: What is stated about the model.
        progress: Told how it goes.
        loading: Which code of the user's or the file's may run, and what builds the network.

    Raises:
        MobileCVError: See `mobilecv_runtime.errors`; ConversionError if every target failed.
            Nothing is left behind then, and an earlier bundle is as it was.
    """
    path = Path(model) if isinstance(model, str | Path) else None
    assumed: tuple[str, ...] = ()
    if path is not None:
        sources.check_source_file(path, loading)
        model_options = model_options.over(ModelOptions.beside(path))
        stated, options = options, options.with_photos_beside(path)
        if options is not stated:
            assumed = (f"calibration photos: those in {options.calibration}, beside the model",)
    targets, left_out = choose_targets(options)
    for project in options.apps:
        app_kind(project)
    labels = find_labels(model_options, path)
    for folder in (options.calibration, options.images):
        if folder is not None:
            check_folder(folder)
    name = path.absolute().stem if path is not None else sources.model_name(model)
    output = options.output or Path(f"{name}-mobilecv")
    with BundleWriter(output, force=options.force) as writer:
        log = writer.work / "log.txt"
        with _timed(progress, SOURCE_STEP, "read"), _session(model, path, log, loading) as session:
            description: SourceDescription = session.call("describe", model_options.stated_input)
            resolved = resolve(model_options, description, labels)
            if options.apps:
                check_showable(resolved.contract.head)
            images = golden_set(options.images or options.calibration, resolved.contract)
            scores: FloatArray = session.call("scores", images.pixels, resolved.contract)
            graph = writer.work / "graph"
            capture = session.call("capture", graph, resolved.contract.image.shape)
            source_memory = session.peak_memory
        calibration = _calibration(options, resolved)
        notes = (*assumed, *_notes(resolved, images, calibration))
        indifferent = indifference(scores, resolved.contract.head.answer)
        if indifferent is not None:
            notes = (*notes, indifferent)
        if options.rescue and calibration and len(calibration.pixels) < FEWEST_PHOTOS:
            notes = (*notes, f"int8 is not rescued with fewer than {FEWEST_PHOTOS} photos")
        for note in notes:
            progress.note(note)
        calibration_file = rescue_file = None
        if calibration is not None:
            calibration_file = writer.work / "calibration.npy"
            np.save(calibration_file, calibration.pixels)
        if options.rescue and calibration is not None:
            rescue_file = writer.work / "golden.npy"
            np.save(rescue_file, images.pixels)

        def place(target: Target) -> Path:
            folder = writer.folder if target in targets else writer.work
            return folder / target.file_name(name)

        def job_for(target: Target) -> Job:
            return Job(
                name=name,
                contract=resolved.contract,
                capture=capture,
                base=place(TARGETS[target.starts_from]) if target.starts_from else None,
                calibration=calibration_file,
                output=place(target),
                rescue=rescue_file,
            )

        conversions = convert_all(
            with_bases(targets), job_for, log=log, progress=progress, timeout_s=options.timeout_s
        )
        wanted = [conversion for conversion in conversions if conversion.target in targets]
        failures = {each.target.id: str(each.error) for each in wanted if each.error}
        if failures:
            _keep_log(writer, log)
        _raise_if_all_failed(wanted)
        coverage = _coverage(conversions)
        if coverage is not None and coverage.note is not None:
            progress.note(coverage.note)
            notes = (*notes, coverage.note)
        golden = ScoredImages.golden(images.pixels, scores)
        made = {each.target.id: (each, inspect(each.path)) for each in wanted if not each.error}
        verdicts = {
            name: _verdict(conversion, found, resolved.contract, golden)
            for name, (conversion, found) in made.items()
        }
        writer.commit(
            Manifest(
                name=name,
                contract=resolved.contract,
                labels_origin=resolved.labels_origin,
                labels_sha256=writer.write_labels(resolved.contract.labels),
                source=_source_entry(description, path, name, output),
                golden=writer.write_golden(images.pixels, scores, images.origin),
                calibration=_calibration_entry(calibration, coverage),
                tools=_tools(description, capture, wanted),
                artifacts=tuple(
                    _artifact_entry(conversion, found, resolved.contract, verdicts[name])
                    for name, (conversion, found) in made.items()
                ),
                left_out={**left_out, **failures},
                loading=recorded(loading, output),
            )
        )
    if path is not None:
        _remember(loading, path, progress)
    bundle = Bundle.open(output)
    return ExportReport(
        bundle=bundle,
        apps={project: _put_into(project, bundle, verdicts) for project in options.apps},
        verdicts=verdicts,
        seconds={each.target.id: each.seconds for each in wanted},
        peak_memory={
            SOURCE_STEP: source_memory,
            **{each.target.id: each.peak_memory for each in wanted},
        },
        failures=failures,
        left_out=left_out,
        notes=notes,
        rescues={each.target.id: each.rescue for each in wanted if each.rescue},
    )


def choose_targets(options: ExportOptions) -> tuple[list[Target], dict[str, str]]:
    """The targets that were asked for, and those that `all` leaves out with the reason.

    Raises:
        UsageError: If an id is unknown, or a target that was named needs photos and has none.
    """
    ids = list(dict.fromkeys(options.targets))
    unknown = [name for name in ids if name != "all" and name not in TARGETS]
    if unknown or not ids:
        raise UsageError(
            f"--to {','.join(unknown) or ''}: unknown target; choose from: "
            f"{', '.join(TARGETS)}, all"
        )
    left_out = {}
    for target in TARGETS.values():
        if target.needs_calibration and options.calibration is None:
            reason = "int8 needs photos of the kind the app will see: pass --calibration DIR"
            if target.id in ids:
                raise UsageError(f"{target.id}: {reason}")
            left_out[target.id] = reason
    if "all" not in ids:
        return [TARGETS[name] for name in TARGETS if name in ids], {}
    return [target for name, target in TARGETS.items() if name not in left_out], left_out


@contextmanager
def _timed(progress: Progress, step: str, outcome: str) -> Iterator[None]:
    progress.begin(step)
    started = time.perf_counter()
    yield
    progress.end(step, outcome, time.perf_counter() - started)


@contextmanager
def _session(model: object, path: Path | None, log: Path, loading: LoadOptions) -> Iterator[Worker]:
    """The source, in a process of its own if it is a file."""
    if path is None:
        yield InProcess(sources.SourceSession(sources.wrap_model(model)))
        return
    unused = unused_by_source(path, loading)
    with Child(lean, sources.open_session, unused, path.absolute(), loading, log=log) as child:
        yield child


def _remember(loading: LoadOptions, path: Path, progress: Progress) -> None:
    try:
        trust.remember(loading, path)
    except OutputError as error:
        progress.note(f"verify will ask again for what may run: {error}")


def _calibration(options: ExportOptions, resolved: Resolved) -> CalibrationSet | None:
    if options.calibration is None:
        return None
    return calibration_set(options.calibration, resolved.contract, options.calibration_images)


def _notes(resolved: Resolved, images: PhotoSet, calibration: PhotoSet | None) -> tuple[str, ...]:
    notes = (*resolved.notes, *(calibration.notes if calibration else ()), *images.notes)
    return tuple(dict.fromkeys(notes))


def _put_into(project: Path, bundle: Bundle, verdicts: Mapping[str, Verdict]) -> str:
    """Put a bundle into an app, unless a file for that app gives other answers than its source."""
    entries = runnable(bundle, app_kind(project))
    wrong = [entry.id for entry in entries if verdicts[entry.id].outcome == "differs"]
    if wrong:
        return f"{', '.join(wrong)} differs from its source"
    place_bundle(bundle, project)
    return ""


def _keep_log(writer: BundleWriter, log: Path) -> None:
    if log.exists():
        log.rename(writer.folder / "export.log")


def _raise_if_all_failed(conversions: Sequence[Conversion]) -> None:
    errors = [each.error for each in conversions if each.error]
    if len(errors) == len(conversions) and errors:
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else ConversionError
        named = "; ".join(f"{each.target.id}: {each.error}" for each in conversions)
        raise kind(f"no target could be converted; {named}")


def _source_entry(
    description: SourceDescription, path: Path | None, name: str, output: Path
) -> SourceEntry:
    return SourceEntry(
        framework=description.framework,
        file=path.name if path else name,
        path=Path(os.path.relpath(path.absolute(), output.absolute())).as_posix() if path else None,
        sha256=digest_of(path) if path else None,
    )


def _verdict(
    conversion: Conversion, found: Inspection, contract: Contract, golden: ScoredImages
) -> Verdict:
    """What the golden images say, and for int8 the calibration photos that decided a rescue.

    An artifact in 8 bits that differs and was not rescued says what to use in its place.
    """
    target, rescue = conversion.target, conversion.rescue
    promise = target.promised(contract.head, found.minimum_runtime)
    verdict = artifact_verdict(conversion.path, target.precision, contract, promise, golden)
    if rescue is not None and not rescue.kept.agrees:
        reasons = (*verdict.reasons, rescue.summary)
        return dataclasses.replace(verdict, outcome="differs", reasons=reasons)
    if verdict.outcome == "differs" and target.precision == "int8-weights":
        advice = f"8 bits do not hold this network; use {target.starts_from}"
        return dataclasses.replace(verdict, reasons=(*verdict.reasons, advice))
    return verdict


def _artifact_entry(
    conversion: Conversion, found: Inspection, contract: Contract, verdict: Verdict
) -> ArtifactEntry:
    target = conversion.target
    promise = target.promised(contract.head, found.minimum_runtime)
    return ArtifactEntry(
        id=target.id,
        file=conversion.path.name,
        bytes=size_of(conversion.path),
        sha256=digest_of(conversion.path),
        precision=target.precision,
        minimum_runtime=promise.minimum_runtime,
        input=promise.input,
        output=promise.output,
        parity=verdict.to_json(),
        census=found.census.record() if found.census else None,
        rescue=conversion.rescue.to_json() if conversion.rescue else None,
    )


def _coverage(conversions: Sequence[Conversion]) -> Coverage | None:
    """How steady the ranges of the first int8 artifact are; None if there is none."""
    found = (each.findings.coverage for each in conversions if each.findings)
    return next((each for each in found if each), None)


def _calibration_entry(
    calibration: CalibrationSet | None, coverage: Coverage | None
) -> CalibrationEntry | None:
    if calibration is None:
        return None
    return CalibrationEntry(
        images=len(calibration.pixels),
        sha256=calibration.sha256,
        found=calibration.found,
        folders=calibration.folders,
        findings=tuple(finding.to_json() for finding in calibration.findings),
        coverage=coverage.to_json() if coverage else None,
    )


def _tools(
    description: SourceDescription, capture: Capture, conversions: Sequence[Conversion]
) -> dict[str, str]:
    names = {"mobilecv", "numpy", "pillow"}
    for conversion in conversions:
        if not conversion.error:
            names.update(conversion.target.tools_for(capture))
    return {name: importlib.metadata.version(name) for name in names} | description.tools
