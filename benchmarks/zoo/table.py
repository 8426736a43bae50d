"""The zoo's results as a Markdown document."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from benchmarks.zoo.check import Figures, Result
from mobilecv.targets import TARGETS
from mobilecv_runtime.report import Table

_TOOLS: Final = (
    "tensorflow", "keras", "torch", "torchvision", "timm", "coremltools", "ai-edge-litert",
    "litert-torch", "tf2onnx", "onnxscript", "onnxruntime", "numpy",
)  # fmt: skip
_MB: Final = 1e6

_Cell: TypeAlias = Callable[[Result], str]


def line(result: Result) -> str:
    """One result in one line."""
    if result.figures is None:
        return f"{result.target}: {result.outcome}: {result.reason}"
    figures = result.figures
    estimate = "" if figures.estimate is None else f", fp16 estimate {figures.estimate:.1e}"
    return (
        f"{result.target}: {result.outcome}, max Δp {figures.max_difference:.1e}, max Δln p "
        f"{figures.max_log_difference:.1e}{estimate}, {result.seconds:.0f} s, "
        f"{result.peak_memory / _MB:.0f} MB"
    )


def document(results: Sequence[Result], *, photos: bool) -> str:
    """The tables, what they say, and what went wrong; a line for each network."""
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
    ]
    if wrong:
        parts.append("## What went wrong")
        parts.append("\n".join(f"- {each.row}, {each.target}: {each.reason}" for each in wrong))
    parts += [
        "## The largest difference of a probability",
        "✗ marks a file that does not agree. In brackets the images with the source's top-1, where "
        "not all have it.",
        _matrix(results, _difference).markdown(),
        "## The same in logarithms",
        "The largest |difference of ln p|, where the source gives 0.0001 or more.",
        _matrix(results, _of(lambda figures: f"{figures.max_log_difference:.1e}")).markdown(),
        "## How sensitive the networks are",
        "*confidence*: the median of the source's largest probability. *float32 moved*, *float16 "
        "moved*: what the source itself moves by in probability when nothing but its weights is "
        "moved, by one unit in the last place of float32, or rounded to float16. *as a device*: "
        "the difference of `mlpackage` with every float16 result rounded, as a device may.",
        _sensitivity(results).markdown(),
        "## Seconds of the conversion",
        "With the start of a process for the first target that it makes, and without the float "
        "file that a target is made from.",
        _matrix(results, lambda result: f"{result.seconds:.0f}").markdown(),
        "## Peak memory of the conversion, MB",
        "Of the process that opens the source, and of the larger of the two that make a format's "
        "targets, imports with them; *bar*: six times the source file, and 1500.",
        _memory(results).markdown(),
        "## Size, MB",
        _matrix(results, lambda result: f"{result.bytes / _MB:.3g}").markdown(),
    ]
    return "\n\n".join(parts) + "\n"


def _of(word: Callable[[Figures], str]) -> _Cell:
    return lambda result: word(result.figures) if result.figures else result.outcome


def _difference(result: Result) -> str:
    figures = result.figures
    if figures is None:
        return result.outcome
    words = f"{'' if result.outcome == 'agrees' else '✗ '}{figures.max_difference:.1e}"
    all_agree = figures.agreeing == figures.images
    return words if all_agree else f"{words} ({figures.agreeing}/{figures.images})"


def _matrix(results: Sequence[Result], cell: _Cell) -> Table:
    targets = _in_order(result.target for result in results)
    return _table(results, {target: _for(target, cell) for target in targets})


def _sensitivity(results: Sequence[Result]) -> Table:
    return _table(
        results,
        {
            "confidence": _first(
                lambda each: f"{each.figures.confidence:.2f}" if each.figures else ""
            ),
            **{f"{kind} moved": _first(_moved(kind)) for kind in ("float32", "float16")},
            "mlpackage as a device": _for(
                "mlpackage",
                _of(lambda figures: "" if figures.estimate is None else f"{figures.estimate:.1e}"),
            ),
        },
    )


def _memory(results: Sequence[Result]) -> Table:
    formats = _in_order(TARGETS[result.target].format for result in results)
    return _table(
        results,
        {
            "source": _first(lambda result: f"{result.source_peak_memory / _MB:.0f}"),
            **{format_: _peak(format_) for format_ in formats},
            "bar": _first(lambda result: f"{(6 * result.source_bytes + 1.5e9) / _MB:.0f}"),
        },
    )


_Row: TypeAlias = Sequence[Result]
"""The results of one network."""


def _table(results: Sequence[Result], columns: Mapping[str, Callable[[_Row], str]]) -> Table:
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(result.row, []).append(result)
    cells = tuple((name, *(cell(row) for cell in columns.values())) for name, row in rows.items())
    return Table(("network", *columns), cells, ("network",))


def _for(target: str, cell: _Cell) -> Callable[[_Row], str]:
    return lambda row: next((cell(each) for each in row if each.target == target), "")


def _first(cell: _Cell) -> Callable[[_Row], str]:
    """Of the first result that has something to say."""
    return lambda row: next((words for each in row if (words := cell(each))), "")


def _moved(precision: str) -> _Cell:
    def cell(result: Result) -> str:
        moved = result.figures.moved_source if result.figures else None
        of_precision = TARGETS[result.target].precision == precision
        return f"{moved:.1e}" if of_precision and moved is not None else ""

    return cell


def _peak(format_: str) -> Callable[[_Row], str]:
    def cell(row: _Row) -> str:
        peaks = [each.peak_memory for each in row if TARGETS[each.target].format == format_]
        return f"{max(peaks) / _MB:.0f}" if peaks else ""

    return cell


def _in_order(names: Iterable[str]) -> list[str]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(names))
