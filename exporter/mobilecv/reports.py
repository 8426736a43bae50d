"""The reports of the journeys, as text and as JSON values, for the command line to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mobilecv.pipeline import ExportReport
from mobilecv.verification import ESTIMATED, SOURCE, VerifyReport
from mobilecv_runtime.agreement import AGREEMENTS
from mobilecv_runtime.census import Census
from mobilecv_runtime.inspection import Inspection
from mobilecv_runtime.manifest import ArtifactEntry, Manifest
from mobilecv_runtime.report import (
    Table,
    megabytes,
    verdict_cells,
    verdict_columns,
    without_empty_columns,
)
from mobilecv_runtime.runners.coreml import EXECUTOR

_SHOWN_LABELS = 10


def export_table(report: ExportReport) -> Table:
    """Every artifact with its size and its verdict on the golden images."""
    entries = {entry.id: entry for entry in report.bundle.manifest.artifacts}
    rows = [
        (
            id_,
            entries[id_].file,
            megabytes(entries[id_].bytes),
            _integer_share(entries[id_]),
            *verdict_cells(verdict),
        )
        for id_, verdict in report.verdicts.items()
    ]
    answer = report.bundle.contract.head.answer
    columns = ("target", "file", "size", "integer", *verdict_columns(answer))
    return without_empty_columns(columns, rows, ("target", "file", "verdict", "why"))


def _integer_share(entry: ArtifactEntry) -> str:
    """How much of the work is done in integers; nothing where none is."""
    share = entry.census["shares"].get("integer", 0.0) if entry.census else 0.0
    return f"{share:.0%}" if share else ""


def rescue_tables(report: ExportReport) -> Iterator[Table]:
    """For every int8 artifact that had to be rescued: what was tried, and what each file costs."""
    for id_, record in report.rescues.items():
        words = (f"{id_}, tried", "verdict", "written", "unbeaten")
        columns = (words[0], "agreement", "size", "ms here", *words[1:])
        rows = [
            (
                trial.words,
                f"{trial.agreement:.1%}",
                megabytes(trial.bytes),
                f"{trial.latency * 1000:.2f}",
                "agrees" if trial.agrees else "differs",
                "yes" if trial is record.kept else "",
                "yes" if trial in record.front else "",
            )
            for trial in record.trials
        ]
        yield without_empty_columns(columns, rows, words)


def export_lines(report: ExportReport) -> Iterator[str]:
    """What is to be said below that table."""
    for id_, reason in report.left_out.items():
        yield f"{id_}: left out: {reason}"
    for id_, reason in report.failures.items():
        yield f"{id_}: failed: {reason}"
    for id_, record in report.rescues.items():
        yield f"{id_}: {record.summary}"
    if report.failures:
        yield f"The converters' own words: {report.bundle.path / 'export.log'}"
    kind = report.bundle.manifest.golden.origin
    yield f"Wrote {report.bundle.path}; checked on its golden images ({kind})."
    for project, reason in report.apps.items():
        yield f"Not put into {project}: {reason}" if reason else f"Put into {project}."


def export_json(report: ExportReport) -> dict[str, Any]:
    """The whole export as JSON values."""
    return {
        "bundle": str(report.bundle.path),
        "manifest": report.bundle.manifest.to_json(),
        "seconds": dict(report.seconds),
        "peak_memory_bytes": dict(report.peak_memory),
        "failures": dict(report.failures),
        "left_out": dict(report.left_out),
        "notes": list(report.notes),
        "rescue_latency_ms": {
            id_: [trial.latency * 1000 for trial in record.trials]
            for id_, record in report.rescues.items()
        },
        "apps": {str(project): reason or None for project, reason in report.apps.items()},
    }


def verify_table(report: VerifyReport) -> Table:
    """The source and every artifact with its verdict."""
    rows = []
    for row in report.rows:
        accuracy = f"{row.correct / report.labelled:.2%}" if row.correct is not None else ""
        rows.append((row.id, row.precision, accuracy, *verdict_cells(row.verdict)))
    columns = ("artifact", "precision", "accuracy", *verdict_columns(report.answer))
    return without_empty_columns(columns, rows, ("artifact", "precision", "verdict", "why"))


def emulation_table(report: VerifyReport) -> Table:
    """What other ways to resize would cost."""
    rows = []
    for found in report.emulations:
        figures = found.comparison
        accuracy = f"{found.correct / report.labelled:.2%}" if found.correct is not None else ""
        numbers = (f"{figures.max_difference:.1e}", f"{figures.mean_difference:.1e}")
        rows.append((found.resizer, accuracy, f"{figures.agreement:.2%}", *numbers))
    agreement = AGREEMENTS[report.answer]
    columns = (
        "resized by",
        "accuracy",
        f"{agreement.name} as exact",
        f"max {agreement.symbol}",
        f"mean {agreement.symbol}",
    )
    return without_empty_columns(columns, rows, ("resized by",))


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """What is to be said below that table."""
    for note in report.notes:
        yield f"note: {note}"
    if any(row.engine == EXECUTOR for row in report.rows):
        yield f"Core ML files were run by {EXECUTOR}."
    counts = Counter(_outcomes(report).values())
    yield (
        f"{report.bundle}: {counts['agrees']} agree, {counts['differs']} differ, "
        f"{counts['skipped']} skipped; "
        f"on {report.images} images against {report.reference}."
    )
    if not report.ran:
        yield "Nothing was verified: no artifact could be run."


def _outcomes(report: VerifyReport) -> dict[str, str]:
    """Every artifact's outcome; its estimate, a row of its own, can only make it worse."""
    found: dict[str, str] = {}
    for row in report.rows:
        artifact = row.id.removesuffix(f" {ESTIMATED}")
        if row.id != SOURCE and (artifact not in found or row.verdict.outcome == "differs"):
            found[artifact] = row.verdict.outcome
    return found


def bundle_lines(manifest: Manifest) -> Iterator[str]:
    """What no file of a bundle says for itself."""
    yield f"{manifest.name}: its golden images are {manifest.golden.origin}"
    calibration = manifest.calibration
    if calibration is not None:
        found = f" of {calibration.found}" if calibration.found is not None else ""
        yield f"  int8 rests on {calibration.images}{found} photos, SHA-256 {calibration.sha256}"
    yield ""


def inspection_lines(found: Inspection) -> Iterator[str]:
    """What one file holds, line by line."""
    yield f"{found.file}: {found.format}, {megabytes(found.bytes)}"
    for kind, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            yield f"  {kind:<10} {tensor.name}: {tensor.type}"
    if found.labels:
        shown = ", ".join(found.labels[:_SHOWN_LABELS])
        shown += ", ..." if len(found.labels) > _SHOWN_LABELS else ""
        yield f"  labels     {len(found.labels)}: {shown}"
    elif found.labels is None:
        yield "  labels     none in the file"
    if found.contract:
        for key in ("image", "preprocessing", "head"):
            words = ", ".join(f"{name} {value}" for name, value in found.contract[key].items())
            yield f"  {key:<10} {words}"
    if found.parameters is not None:
        yield f"  weights    {found.parameters:,} ({_census(found.data_types)})"
    elif found.data_types:
        yield f"  results    {_census(found.data_types)}"
    if found.operations:
        yield f"  operations {sum(found.operations.values())}: {_census(found.operations)}"
    if found.census is not None:
        yield from _census_lines(found.census)
    elif found.not_counted is not None:
        yield f"  uncounted  {found.not_counted}"
    if found.minimum_runtime is not None:
        yield f"  runs in    {found.minimum_runtime} and later"
    for name, value in found.metadata.items():
        yield f"  {name}: {value}"


def layers_table(census: Census) -> Table:
    """Every layer with its multiply-adds, parameters and results."""
    rows = [
        (
            layer.name,
            layer.operation,
            layer.arithmetic,
            layer.weights,
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.output_bytes / 1024:,.1f}",
        )
        for layer in census.layers
        if layer.output_bytes or layer.multiply_adds or layer.parameters
    ]
    columns = (
        "layer", "operation", "arithmetic", "weights", "multiply-adds", "parameters", "result KiB",
    )  # fmt: skip
    return without_empty_columns(columns, rows, ("layer", "operation", "arithmetic", "weights"))


def _census_lines(census: Census) -> Iterator[str]:
    shares = ", ".join(f"{share:.1%} {name}" for name, share in census.shares.items())
    kind = census.kind
    rest = f" ({shares})" if shares else ""
    yield f"  arithmetic {kind}: {census.multiply_adds:,} multiply-adds{rest}"
    if census.weights:
        yield f"  stored as  {_census(census.weights)}"
    if census.integer_share and census.float_operations:
        yield f"  in float   {_census(census.float_operations)}"
    if census.uncounted:
        yield f"  uncounted  {_census(census.uncounted)}: the true figures are larger"
    yield (
        f"  memory     results need {megabytes(census.peak_activation_bytes)} at one time, "
        f"{megabytes(census.activation_bytes)} together"
    )


def _census(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
