"""Well-known classifiers through export and parity check, one network at a time.

    python -m benchmarks.zoo --families all
    python -m benchmarks.zoo --families mobilenet,vgg --frameworks keras --targets coreml
    python -m benchmarks.zoo --rows quick --images photos/

Without --targets, to all of them; without photos there is nothing to calibrate int8 with, and those
targets are left out. Prints tables, and writes them with --output. Interrupted, it goes on where it
was: what is finished lies in --work. The exit code is 1 if a network failed, or differs from its
source.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.zoo.check import Photos, Result, check
from benchmarks.zoo.rows import FAMILIES, QUICK, ROWS, Row
from benchmarks.zoo.table import document, line
from mobilecv.targets import TARGETS

_FRAMEWORKS = ("keras", "torch")


def main() -> int:
    """Check the rows that were asked for."""
    parser = _parser()
    options = parser.parse_args()
    targets = options.targets or [name for name in TARGETS if _possible(name, options)]
    if not all(_possible(name, options) for name in targets):
        parser.error("int8 is calibrated on photos: give a folder of them with --images")
    if options.rows and (options.families or options.frameworks):
        parser.error("--rows names networks, --families and --frameworks choose them: one of both")
    rows = _chosen(options)
    options.work.mkdir(parents=True, exist_ok=True)
    count = options.calibration_images
    photos = Photos(folder=options.images, calibration_images=count) if options.images else None
    results: list[Result] = []
    for row in rows:
        print(row.id, file=sys.stderr, flush=True)
        for result in check(row, targets, options.work, photos):
            print("  " + line(result), file=sys.stderr, flush=True)
            results.append(result)
    text = document(results, photos=photos is not None)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return int(any(result.outcome != "agrees" for result in results))


def _possible(target: str, options: argparse.Namespace) -> bool:
    return options.images is not None or not TARGETS[target].needs_calibration


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--families", type=_listed(FAMILIES), help=f"all [default], or {','.join(FAMILIES)}"
    )
    parser.add_argument("--frameworks", type=_listed(_FRAMEWORKS), help="[default: both]")
    parser.add_argument("--rows", type=_rows, help="single networks, or quick for a few fast ones")
    parser.add_argument("--targets", type=_listed(tuple(TARGETS)))
    parser.add_argument("--work", type=Path, default=Path("build/zoo"), help="keeps what is done")
    parser.add_argument("--images", type=Path, help="photos to compare on [default: patterns]")
    parser.add_argument("--calibration-images", type=int, default=200, help="for int8")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    return parser


def _listed(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Read names with commas between, or `all`."""

    def parse(text: str) -> tuple[str, ...]:
        if text == "all":
            return tuple(choices)
        names = tuple(text.split(","))
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return names

    return parse


def _rows(text: str) -> tuple[str, ...]:
    return QUICK if text == "quick" else _listed([row.id for row in ROWS])(text)


def _chosen(options: argparse.Namespace) -> list[Row]:
    if options.rows:
        return [row for row in ROWS if row.id in options.rows]
    return [
        row
        for row in ROWS
        if row.family in (options.families or FAMILIES)
        and row.framework in (options.frameworks or _FRAMEWORKS)
    ]


if __name__ == "__main__":
    sys.exit(main())
