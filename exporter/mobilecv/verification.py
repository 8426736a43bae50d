"""The verify journey: every artifact of a bundle against its source, on the same images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mobilecv import sources
from mobilecv.emulation import Emulation, Emulations, check_resizers
from mobilecv.lean_workers import lean, unused_by_source
from mobilecv.progress import SILENT, Progress
from mobilecv.reopening import loading_of
from mobilecv.sources.base import Reference
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.child import Child, Worker
from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import BundleError, MissingDependencyError, SourceError, UsageError
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.manifest import ArtifactEntry
from mobilecv_runtime.parity import Verdict, indifference, skipped
from mobilecv_runtime.photos import Photo, PhotoFolder, PreparedPhotos
from mobilecv_runtime.runners import ArtifactRunner, open_runner
from mobilecv_runtime.runners.coreml import (
    COREML_SUFFIXES,
    PROGRAM_SUFFIX,
    ExecutedCoremlRunner,
    has_apple_runtime,
)
from mobilecv_runtime.spec import FloatArray, Precision, UInt8Array, one_of
from mobilecv_runtime.verdicts import precision_verdict, scores_verdict, words_verdict

SOURCE = "source"
EXECUTED = "(executed)"
"""Marks a Core ML file in mobilecv's executor, where Apple's runtime ran it too."""
ESTIMATED = "(fp16 estimate)"
"""Marks a Core ML file whose float16 values were rounded as a device would."""
_RECORDED = "checked against the scores recorded at the export"
_PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8-weights", "int8")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found out about the source or one artifact."""

    id: str
    precision: str
    engine: str
    """What ran it; empty if nothing did."""
    verdict: Verdict
    correct: int | None
    """Photos of known class that it named right; None without such photos, or if skipped."""


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Every artifact's verdict, and the accuracy where the photos' classes are known."""

    bundle: Path
    reference: str
    """What the artifacts were held against: the source file, or its recorded scores."""
    images: int
    labelled: int
    """Photos whose class is known."""
    rows: Sequence[Row]
    answer: Answer
    """What the scores are."""
    notes: Sequence[str]
    """Photos that were left out, folders of no known class, and the like."""
    emulations: Sequence[Emulation] = ()
    """What other ways to resize would cost; no part of the verdict."""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs; skipped artifacts do not count, but one must have been run."""
        return self.ran and all(row.verdict.outcome != "differs" for row in self.rows)

    @property
    def ran(self) -> bool:
        """Whether any artifact could be run at all."""
        return any(row.id != SOURCE and row.verdict.outcome != "skipped" for row in self.rows)

    @property
    def skipped(self) -> list[str]:
        """The ids of the artifacts that could not be run."""
        return [row.id for row in self.rows if row.verdict.outcome == "skipped"]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "bundle": str(self.bundle),
            "agrees": self.agrees,
            "reference": self.reference,
            "images": self.images,
            "labelled": self.labelled,
            "artifacts": [
                {
                    "id": row.id,
                    "precision": row.precision,
                    "engine": row.engine,
                    **row.verdict.to_json(),
                    "correct": row.correct,
                    "accuracy": None if row.correct is None else row.correct / self.labelled,
                }
                for row in self.rows
            ],
            "notes": list(self.notes),
            "emulations": [emulation.to_json() for emulation in self.emulations],
        }


def verify(
    bundle: str | Path,
    *,
    images: str | Path | None = None,
    source: str | Path | None = None,
    use_source: bool = True,
    progress: Progress = SILENT,
    loading: LoadOptions = NOTHING_STATED,
    emulate: Sequence[str] = (),
) -> VerifyReport:
    """Hold every artifact of a bundle against its source.

    Args:
        bundle: The bundle folder.
        images: A folder of photos to compare on, besides the golden images. Sub-folders with the
            labels' names give their classes.
        source: The source file, if it is not where it was at the export.
        use_source: False to trust the scores that the export recorded.
        progress: Told how it goes.
        loading: Code that may run to load the source, besides what the user let `export` run.
        emulate: Names of other libraries' resizers, whose cost is to be measured on the photos; see
            `mobilecv_runtime.resizers.RESIZERS`.

    Raises:
        BundleError: If the bundle is damaged.
        SourceError: If the source is not the file that was exported.
        UsageError: If photos are given, but no source that could say what is right on them, or if
            resizers are to be emulated without photos.
    """
    check_resizers(emulate)
    if emulate and images is None:
        raise UsageError("--emulate resizes photos: name a folder of them with --images")
    opened = Bundle.open(bundle)
    photos = PhotoFolder.find(Path(images), opened.contract.labels) if images else None
    path, note = _source_path(opened, Path(source) if source else None, use_source=use_source)
    known: LoadOptions | None = None
    if path is not None:
        known, reason = loading_of(opened, path, loading)
        if known is None:
            path, note = None, f"{reason}; {_RECORDED}"
    notes = [note] if note else []
    if path is None and photos is not None:
        raise UsageError(f"{note or 'without the source'}; the photos have no right answers then")
    with ExitStack() as stack:
        reference: Worker | None = None
        if path is not None and known is not None:
            progress.note(f"loading {path.name}")
            try:
                reference = stack.enter_context(_reference(opened, path, known, stack))
            except MissingDependencyError as error:
                if photos is not None:
                    raise
                notes.append(f"{error}; {_RECORDED}")
        check = _Check(opened, reference)
        check.run(opened.golden.images, _golden_names(opened), None)
        emulations: Emulations | None = None
        if photos is not None:
            if reference is not None:
                emulations = Emulations(emulate, opened.contract, reference)
            prepared = PreparedPhotos(photos.photos, opened.contract.image)
            for number, (batch, pixels) in enumerate(prepared.batches()):
                if number % 8 == 0:
                    progress.note(f"{check.images} of {len(photos.photos)} photos")
                exact = check.run(pixels, [str(photo.path) for photo in batch], batch)
                if emulations is not None:
                    emulations.run(batch, exact)
            notes.extend(f"left out: {line}" for line in prepared.skipped)
            if photos.unknown_classes:
                notes.append(
                    f"folders that bear no label's name: {', '.join(photos.unknown_classes)}"
                )
            elif not check.labelled and opened.contract.head.answer != "values":
                notes.append(
                    "no accuracy: the photos lie in no folder with a label's name, such as "
                    f"{opened.contract.labels.names[0]!r}"
                )
        indifferent = check.indifference()
        if indifferent is not None:
            notes.append(indifferent)
        return VerifyReport(
            bundle=opened.path,
            reference=str(path) if reference else "scores recorded at the export",
            images=check.images,
            labelled=check.labelled,
            rows=list(check.rows()),
            answer=opened.contract.head.answer,
            notes=notes,
            emulations=list(emulations.results()) if emulations else (),
        )


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """One way to run one artifact."""

    id: str
    precision: Precision
    entry: ArtifactEntry
    make: Callable[[], ArtifactRunner]
    golden_only: bool = False
    """Whether it is too slow for more than the golden images."""


def _subjects(bundle: Bundle) -> Iterator[_Subject]:
    """Every artifact, and Core ML files in every way that tells something more."""
    for entry in bundle.manifest.artifacts:
        path, precision = bundle.file(entry), one_of(entry.precision, _PRECISIONS, "precision")
        yield _Subject(
            id=entry.id, precision=precision, entry=entry, make=partial(open_runner, path)
        )
        if path.suffix not in COREML_SUFFIXES:
            continue
        if has_apple_runtime():
            executed = partial(ExecutedCoremlRunner, path)
            yield _Subject(
                id=f"{entry.id} {EXECUTED}", precision=precision, entry=entry, make=executed
            )
        if path.suffix == PROGRAM_SUFFIX:
            estimated = partial(ExecutedCoremlRunner, path, arithmetic="device-estimate")
            yield _Subject(
                id=f"{entry.id} {ESTIMATED}",
                precision=precision,
                entry=entry,
                make=estimated,
                golden_only=True,
            )


class _Check:
    """Collects the answers of source and artifacts, batch by batch."""

    def __init__(self, bundle: Bundle, reference: Worker | None) -> None:
        self._bundle, self._reference = bundle, reference
        self._answer = bundle.contract.head.answer
        self._subjects = {subject.id: subject for subject in _subjects(bundle)}
        self._runners: dict[str, ArtifactRunner] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._scores: dict[str, list[FloatArray]] = {SOURCE: []}
        self._names: list[str] = []
        self._truth: list[int | None] = []
        for subject in self._subjects.values():
            self._open(subject)

    @property
    def images(self) -> int:
        return len(self._names)

    @property
    def labelled(self) -> int:
        return sum(truth is not None for truth in self._truth)

    def run(
        self, pixels: UInt8Array, names: Sequence[str], photos: Sequence[Photo] | None
    ) -> FloatArray:
        """Take a batch; the source's scores on it."""
        expected = self._bundle.golden.scores
        if self._reference is not None:
            expected = self._reference.call("scores", pixels)
        self._scores[SOURCE].append(expected)
        for id_, runner in self._runners.items():
            if photos is None or not self._subjects[id_].golden_only:
                self._scores[id_].append(runner.scores(pixels))
        self._names.extend(names)
        self._truth.extend([photo.truth for photo in photos] if photos else [None] * len(names))
        return expected

    def rows(self) -> Iterator[Row]:
        expected = np.concatenate(self._scores[SOURCE])
        if self._reference is not None:
            yield self._source_row(expected)
        for id_, subject in self._subjects.items():
            verdict, correct, engine = self._verdicts.get(id_), None, ""
            if verdict is None:
                scores, engine = np.concatenate(self._scores[id_]), self._runners[id_].engine
                count = len(scores)
                verdict = scores_verdict(
                    scores, subject.precision, expected[:count], self._names[:count], self._answer
                )
                correct = None if subject.golden_only else self._correct(scores)
            yield Row(
                id=id_,
                precision=subject.precision,
                engine=engine,
                verdict=verdict,
                correct=correct,
            )

    def indifference(self) -> str | None:
        return indifference(np.concatenate(self._scores[SOURCE]), self._answer)

    def _source_row(self, scores: FloatArray) -> Row:
        """The source against its own recorded scores: does it still answer as at the export?"""
        recorded = self._bundle.golden.scores
        count = len(recorded)
        names = self._names[:count]
        verdict = scores_verdict(scores[:count], "float32", recorded, names, self._answer)
        return Row(
            id=SOURCE,
            precision="",
            engine=Reference.engine,
            verdict=verdict,
            correct=self._correct(scores),
        )

    def _correct(self, scores: FloatArray) -> int | None:
        if not self.labelled or self._answer == "values":
            return None
        best = scores.argmax(axis=1)
        return sum(int(best[i]) == truth for i, truth in enumerate(self._truth))

    def _open(self, subject: _Subject) -> None:
        try:
            path = self._bundle.file(subject.entry)
            made_wrong = precision_verdict(path, subject.precision)
            if made_wrong is not None:
                self._verdicts[subject.id] = made_wrong
                return
            runner = subject.make()
        except (MissingDependencyError, UnsupportedError) as error:
            self._verdicts[subject.id] = skipped(str(error))
            return
        except BundleError as error:
            self._verdicts[subject.id] = Verdict(outcome="differs", reasons=(str(error),))
            return
        wrong = words_verdict(runner, self._bundle.contract, subject.entry)
        if wrong is not None:
            self._verdicts[subject.id] = wrong
            return
        self._runners[subject.id], self._scores[subject.id] = runner, []


def _source_path(
    bundle: Bundle, stated: Path | None, *, use_source: bool
) -> tuple[Path | None, str | None]:
    entry = bundle.manifest.source
    path = stated or bundle.source_path
    recorded = _RECORDED
    if not use_source:
        return None, f"the source was left aside as asked; {recorded}"
    if path is None:
        return None, f"the source was a model in memory; {recorded}"
    if not path.exists():
        if stated is not None:
            raise SourceError(f"{path}: no such file")
        return None, f"{path} is not there any more (--source FILE names another place); {recorded}"
    if entry.sha256 is not None and digest_of(path) != entry.sha256:
        raise SourceError(
            f"{path}: is not the file that was exported (its SHA-256 differs); export it again, "
            "name the right one with --source, or pass --no-source to use the recorded scores"
        )
    return path, None


def _reference(bundle: Bundle, path: Path, loading: LoadOptions, stack: ExitStack) -> Child:
    log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "source.log"
    unused = unused_by_source(path, loading)
    arguments = path.absolute(), loading, bundle.contract, None
    return Child(lean, sources.open_reference, unused, *arguments, log=log)


def _golden_names(bundle: Bundle) -> list[str]:
    return [f"golden/{number:03}.png" for number in range(len(bundle.golden.images))]
