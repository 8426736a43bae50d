"""The zoo's results as a Markdown document."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Final

from benchmarks.zoo.check import Result
from mobilecv_runtime.report import Table, megabytes

_COLUMNS: Final = (
    "network", "target", "outcome", "max Δp", "max Δln p", "fp16 estimate Δp",
    "moved source Δp", "top-1", "confidence", "seconds", "peak MB", "bar MB", "size",
)  # fmt: skip
_WORDS: Final = ("network", "target", "outcome")
_TOOLS: Final = (
    "tensorflow", "keras", "torch", "torchvision", "timm", "coremltools", "ai-edge-litert",
    "litert-torch", "tf2onnx", "onnxscript", "onnxruntime", "numpy",
)  # fmt: skip


def line(result: Result) -> str:
    """One result in one line."""
    if result.figures is None:
        return f"{result.target}: {result.outcome}: {result.reason}"
    figures = result.figures
    estimate = "" if figures.estimate is None else f", fp16 estimate {figures.estimate:.1e}"
    return (
        f"{result.target}: {result.outcome}, max Δp {figures.max_difference:.1e}, max Δln p "
        f"{figures.max_log_difference:.1e}{estimate}, {result.seconds:.0f} s, "
        f"{result.peak_memory / 1e6:.0f} MB"
    )


def document(results: Sequence[Result], *, photos: bool) -> str:
    """The table, what it says, and what went wrong."""
    agreeing = sum(result.outcome == "agrees" for result in results)
    wrong = [result for result in results if result.reason]
    parts = [
        "# The zoo",
        "Written by `python -m benchmarks.zoo`, on "
        f"{'photos' if photos else 'generated test patterns'}. Weights are random, conditioned so "
        "that answers are as decided as a trained network's (see `benchmarks/zoo/networks.py`). "
        "Each file is held against its source on the golden images of its bundle, in the engine "
        "that runs it here: Core ML files in mobilecv's executor, not Apple's runtime.",
        f"{agreeing} of {len(results)} agree. "
        + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _TOOLS)
        + f"; {platform.system()} {platform.machine()}.",
        _table(results).markdown(),
        "*max Δp*: the largest difference of a probability. *max Δln p*: the same in logarithms, "
        "where the source gives 0.0001 or more. *fp16 estimate*: with every float16 result "
        "rounded, as a device may. *moved source*: what the source itself moves by when nothing "
        "but its weights is moved: rounded to float16 for a file in float16, by one unit in the "
        "last place for one in float32. *confidence*: the median of the source's largest "
        "probability. *seconds*: of the conversion. *peak MB*: of the converting process, up to "
        "then; *bar MB*: six times the source file and 1500.",
    ]
    if wrong:
        parts.append("## What went wrong")
        parts.append("\n".join(f"- {each.row}, {each.target}: {each.reason}" for each in wrong))
    return "\n\n".join(parts) + "\n"


def _table(results: Sequence[Result]) -> Table:
    return Table(_COLUMNS, tuple(_cells(result) for result in results), _WORDS)


def _bar(result: Result) -> float:
    """The most memory that a conversion may take, in bytes."""
    return 6 * result.source_bytes + 1.5e9


def _cells(result: Result) -> tuple[str, ...]:
    cost = (f"{result.seconds:.0f}", f"{result.peak_memory / 1e6:.0f}", f"{_bar(result) / 1e6:.0f}")
    figures = result.figures
    if figures is None:
        return (result.row, result.target, result.outcome, *[""] * 6, *cost, "")
    return (
        result.row,
        result.target,
        result.outcome,
        f"{figures.max_difference:.1e}",
        f"{figures.max_log_difference:.1e}",
        "" if figures.estimate is None else f"{figures.estimate:.1e}",
        "" if figures.moved_source is None else f"{figures.moved_source:.1e}",
        f"{figures.agreeing}/{figures.images}",
        f"{figures.confidence:.2f}",
        *cost,
        megabytes(result.bytes),
    )
