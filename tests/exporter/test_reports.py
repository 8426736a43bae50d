from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilecv.reports import verify_lines
from mobilecv.verification import Row, VerifyReport
from mobilecv_runtime.parity import Verdict


def report(**outcomes: Any) -> VerifyReport:
    rows = [
        Row(
            id=name.replace("_", " ").replace("estimate", "(fp16 estimate)"),
            precision="",
            engine="",
            verdict=Verdict(outcome=outcome),
            correct=None,
        )
        for name, outcome in outcomes.items()
    ]
    return VerifyReport(
        bundle=Path("net"),
        reference="the source",
        images=16,
        labelled=0,
        rows=rows,
        answer="one label",
        notes=(),
    )


def test_files_are_counted_and_their_estimates_are_not() -> None:
    found = report(source="agrees", onnx="agrees", a="agrees", a_estimate="agrees")
    (line,) = verify_lines(found)
    assert line == "net: 2 agree, 0 differ, 0 skipped; on 16 images against the source."
    assert found.agrees


def test_an_estimate_that_differs_counts_for_its_file() -> None:
    found = report(source="agrees", a="agrees", a_estimate="differs", b="skipped")
    (line,) = verify_lines(found)
    assert "0 agree, 1 differ, 1 skipped" in line
    assert not found.agrees


def test_what_was_skipped_does_not_count_beside_what_ran() -> None:
    assert report(source="agrees", a="agrees", b="skipped").agrees


def test_nothing_is_verified_where_nothing_could_be_run() -> None:
    found = report(source="agrees", a="skipped", b="skipped")
    assert not found.agrees
    assert "Nothing was verified: no artifact could be run." in list(verify_lines(found))
