"""Tables for people: one value that turns into Markdown or a terminal table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobilecv_runtime.agreement import AGREEMENTS
from mobilecv_runtime.bench import NotTimed, Timing
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.parity import Verdict

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """Columns with a heading each, and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: tuple[str, ...]
    """The columns that are words, and so stand to the left; numbers stand to the right."""

    def markdown(self) -> str:
        """The table in Markdown, padded so that it reads well as it is."""
        cells = [self.columns, *(tuple(c.replace("|", "\\|") for c in row) for row in self.rows)]
        widths = [max(len(row[index]) for row in cells) for index in range(len(self.columns))]
        is_text = [column in self.text_columns for column in self.columns]
        lines = [
            "| "
            + " | ".join(
                cell.ljust(width) if text else cell.rjust(width)
                for cell, width, text in zip(row, widths, is_text, strict=True)
            )
            + " |"
            for row in cells
        ]
        rule = "|".join(
            "-" * (width + 2) if text else "-" * (width + 1) + ":"
            for width, text in zip(widths, is_text, strict=True)
        )
        return "\n".join([lines[0], f"|{rule}|", *lines[1:]])

    def rich(self) -> RichTable:
        """The table for a terminal."""
        from rich import box
        from rich.markup import escape
        from rich.table import Table as RichTable

        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in self.columns:
            is_text = column in self.text_columns
            table.add_column(
                column, justify="left" if is_text else "right", no_wrap=column != "why"
            )
        for row in self.rows:
            table.add_row(*(_colored(escape(cell)) for cell in row))
        return table


def verdict_cells(verdict: Verdict) -> tuple[str, ...]:
    """Verdict, images, agreement, near-ties, max and mean |difference|, and why."""
    word = {"agrees": "✓ agrees", "differs": "✗ DIFFERS", "skipped": "- skipped"}[verdict.outcome]
    reasons = "; ".join(verdict.reasons)
    figures = verdict.comparison
    if figures is None:
        return (word, "", "", "", "", "", reasons)
    low = figures.agreement_interval[0]
    return (
        word,
        str(figures.images),
        f"{figures.agreement:.2%} (≥ {low:.1%})",
        "" if figures.answer == "values" else str(figures.near_ties),
        f"{figures.max_difference:.1e}",
        f"{figures.mean_difference:.1e}",
        reasons,
    )


def verdict_columns(answer: Answer) -> tuple[str, ...]:
    """The heads of the columns of `verdict_cells`."""
    agreement = AGREEMENTS[answer]
    return (
        "verdict",
        "images",
        f"{agreement.name} agreement",
        "near-ties",
        f"max {agreement.symbol}",
        f"mean {agreement.symbol}",
        "why",
    )


def without_empty_columns(
    columns: Sequence[str], rows: Iterable[Sequence[str]], text_columns: tuple[str, ...]
) -> Table:
    """A table of the columns in which some row says something."""
    rows = [tuple(row) for row in rows]
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return Table(
        tuple(columns[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in rows),
        text_columns,
    )


def bench_table(timings: Sequence[Timing | NotTimed]) -> Table:
    """Size, times and memory of every contender."""
    columns = (
        "artifact", "size", "load ms", "first ms", "p50 ms", "p90 ms", "p99 ms", "images/s",
        "peak MB", "why",
    )  # fmt: skip
    return without_empty_columns(columns, map(_bench_cells, timings), ("artifact", "why"))


def megabytes(count: int) -> str:
    """Bytes as MB (10^6), with the digits that matter."""
    return f"{count / 1e6:.2f} MB" if count < 10e6 else f"{count / 1e6:.1f} MB"


def _bench_cells(timing: Timing | NotTimed) -> tuple[str, ...]:
    name, size = timing.name, megabytes(timing.bytes)
    if isinstance(timing, NotTimed):
        return (name, size, *[""] * 7, f"skipped: {timing.reason}")
    return (
        name,
        size,
        f"{timing.load * 1e3:.0f}",
        *(f"{seconds * 1e3:.3g}" for seconds in (timing.first, *map(timing.percentile, _SHARES))),
        f"{1 / timing.percentile(0.5):.0f}",
        f"{timing.peak_memory / 1e6:.0f}",
        "",
    )


_SHARES = (0.5, 0.9, 0.99)


def _colored(cell: str) -> str:
    for mark, style in (("✓", "green"), ("✗", "bold red")):
        if cell.startswith(mark):
            return f"[{style}]{cell}[/{style}]"
    return cell
