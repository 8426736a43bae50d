from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mobilecv.reports import verify_lines


def report(**outcomes: str) -> Any:
    rows = [
        SimpleNamespace(
            id=name.replace("_", " ").replace("estimate", "(fp16 estimate)"),
            engine="",
            verdict=SimpleNamespace(outcome=outcome),
        )
        for name, outcome in outcomes.items()
    ]
    return SimpleNamespace(bundle="net", rows=rows, notes=(), images=16, reference="the source")


def test_files_are_counted_and_their_estimates_are_not() -> None:
    (line,) = verify_lines(report(source="agrees", onnx="agrees", a="agrees", a_estimate="agrees"))
    assert line == "net: 2 agree, 0 differ, 0 skipped; on 16 images against the source."


def test_an_estimate_that_differs_counts_for_its_file() -> None:
    (line,) = verify_lines(report(source="agrees", a="agrees", a_estimate="differs", b="skipped"))
    assert "0 agree, 1 differ, 1 skipped" in line
