"""mobilecv's int8 files side by side with those of other quantisers, on networks made by others.

    python -m benchmarks.int8 --data DIR
    python -m benchmarks.int8 --data DIR --networks resnet8,mobilenet_v2 --output docs/int8.md

DIR holds the models and photos that `benchmarks/int8/networks.py` names; by default it is what the
environment variable MOBILECV_DATA says. Prints a table for each network, and writes them with
--output. A bar that is missed is shown as missed; only if a network failed, the exit code is 1 and
no file is written.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.int8.making import make
from benchmarks.int8.measuring import Report, TestSet, measured
from benchmarks.int8.networks import NETWORKS, Network
from benchmarks.int8.photos import Halves
from benchmarks.int8.table import document
from mobilecv_runtime.errors import MobileCVError

_VARIABLE = "MOBILECV_DATA"


def main() -> int:
    """Compare on the networks that were asked for."""
    parser = _parser()
    options = parser.parse_args()
    if options.data is None or not options.data.is_dir():
        parser.error(f"no folder of models and photos: give --data DIR, or set {_VARIABLE}")
    reports, failed = [], False
    for name in options.networks:
        print(name, file=sys.stderr, flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                reports.append(_compared(NETWORKS[name], options.data.resolve(), Path(folder)))
        except MobileCVError as error:
            print(f"  failed: {error}", file=sys.stderr, flush=True)
            failed = True
    text = document(reports) if reports else ""
    print(text)
    if options.output and not failed:
        options.output.write_text(text, encoding="utf-8")
    return int(failed)


def _compared(network: Network, data: Path, folder: Path) -> Report:
    started = time.perf_counter()
    halves = Halves.link(network.photos, data, folder / "photos")
    files = make(network, data, halves, folder)
    test = TestSet.of(files, network, halves.test, halves.labels)
    results = measured(files, test)
    calibration = files.bundle.manifest.calibration
    return Report(
        network=network,
        calibration=calibration.images if calibration else 0,
        photos=len(test.pixels),
        correct=test.correct(test.scores),
        results=results,
        seconds=time.perf_counter() - started,
    )


def _parser() -> argparse.ArgumentParser:
    stated = os.environ.get(_VARIABLE)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(stated) if stated else None)
    parser.add_argument("--networks", type=_names, default=tuple(NETWORKS))
    parser.add_argument("--output", type=Path, help="a Markdown file for the tables")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; known are {', '.join(NETWORKS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
