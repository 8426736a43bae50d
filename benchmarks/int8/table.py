"""The comparison as a Markdown document: a table for each network, and the bars."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.int8.bars import bars
from benchmarks.int8.making import CALIBRATION_PHOTOS, TFLITE
from benchmarks.int8.measuring import Report, Result
from mobilecv_runtime.report import megabytes, without_empty_columns

_COLUMNS: Final = (
    "file", "top-1", "agreement", "ties apart", "max Δp", "mean Δp", "size", "of float", "ms",
    "x float tflite", "integer", "made in s", "peak MB", "remark",
)  # fmt: skip
_WORDS: Final = ("file", "remark")
_TOOLS: Final = (
    "tensorflow", "keras", "torch", "ai-edge-litert", "ai-edge-quantizer", "onnxruntime", "numpy",
)  # fmt: skip


def document(reports: Sequence[Report]) -> str:
    """All tables, what they say, and which bars were missed."""
    claims = [claim for report in reports for claim in bars(report)]
    missed = [claim for claim in claims if not claim.holds]
    parts = [
        "# int8 against other quantisers",
        "Written by `python -m benchmarks.int8`. The networks were trained by others, but for "
        "the one with random weights, which stands for speed and size. Their photos "
        "are dealt out in turn: of one half, at most "
        f"{CALIBRATION_PHOTOS} photos calibrate, the very same ones for every quantiser; all "
        "figures are from the other half. Every quantiser starts from the same float network, with "
        "the normalisation inside, and runs with its defaults: TFLiteConverter with "
        "`Optimize.DEFAULT` and a representative dataset, ai-edge-quantizer with the recipe "
        "`static_wi8_ai8`, onnxruntime with `quantize_static`, and once more with `per_channel`. "
        + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _TOOLS)
        + f"; {_machine()}.",
        "*agreement*: photos with the float source's top-1; *ties apart*: the same without "
        "near-ties, photos between whose two labels the source hardly decides (0.1 in "
        "probability). *max Δp*: the largest difference of a probability; *mean Δp*: each photo's "
        "largest, averaged. *of float*: the share of mobilecv's float file of the same format. "
        "*ms*: the median of one photo with one thread, all files in turn; ~ where rounds differed "
        "by more than a fifth. *integer*: the share of "
        "the multiply-adds that runs in integers. *made in s*, *peak MB*: of the conversion; for "
        "the others with the start of the process. A bar is for mobilecv's files as they are "
        "exported. Where one photo is a whole percent, one photo decides.",
        f"{len(claims) - len(missed)} of {len(claims)} bars are reached"
        + (", missed are:" if missed else "."),
    ]
    if missed:
        parts.append("\n".join(f"- {claim.network}: {claim.words}" for claim in missed))
    for report in reports:
        parts.extend(_section(report))
    return "\n\n".join(parts) + "\n"


def _machine() -> str:
    """The system, and what decides how ONNX Runtime multiplies signed weights on x86."""
    words = f"{platform.system()} {platform.machine()}"
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists():
        return words
    has_vnni = "vnni" in flags.read_text(encoding="utf-8")
    return words + (" with VNNI" if has_vnni else " without VNNI")


def _section(report: Report) -> Iterator[str]:
    yield f"## {report.network.title}"
    share = report.correct / report.photos
    yield (
        f"{report.calibration} photos calibrate, {report.photos} are measured on; the float source "
        f"names {share:.1%} of them right. All of it took {report.seconds:.0f} s."
    )
    rows = [_cells(result, report) for result in report.results]
    yield without_empty_columns(_COLUMNS, rows, _WORDS).markdown()
    yield "\n".join(
        f"- {'✓' if claim.holds else '✗ missed:'} {claim.words}" for claim in bars(report)
    )


def _cells(result: Result, report: Report) -> tuple[str, ...]:
    made, figures = result.made, result.figures
    cost = (
        "" if made.seconds is None else f"{made.seconds:.0f}",
        "" if made.peak_memory is None else f"{made.peak_memory / 1e6:.0f}",
    )
    if figures is None:
        return (made.name, *[""] * 10, *cost, result.remark)
    compared, share = figures.comparison, report.size_share(result)
    taken, float_taken = figures.latency, report.latency(TFLITE)
    return (
        made.name,
        f"{figures.correct / report.photos:.1%}",
        f"{compared.agreement:.1%}",
        f"{figures.agreement_apart:.1%}",
        f"{compared.max_difference:.1e}",
        f"{compared.mean_difference:.1e}",
        megabytes(figures.timing.bytes),
        "" if share is None else f"{share:.2f}",
        "" if taken is None else f"{'~' if figures.is_noisy else ''}{taken * 1e3:.3g}",
        "" if taken is None or float_taken is None else f"{taken / float_taken:.2f}",
        f"{figures.integer_share:.0%}",
        *cost,
        result.remark,
    )
