"""Operations that converters, quantisers or engines trip over, in whole exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobilecv.targets import TARGETS
from tests_shared import Cli

MakeModel = Callable[[str], Path]


def exported(cli: Cli, model: Path, targets: str, photos: Path) -> tuple[int, Any]:
    """The exit code of an export, and its report."""
    words = ["--to", targets, "--preset", "tf", "--calibration", photos / "calibration", "--json"]
    done = cli("export", model, *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_rare_operations_reach_every_target(
    make_model: MakeModel, digits_photos: Path, cli: Cli
) -> None:
    code, report = exported(cli, make_model("rare_operations"), "all", digits_photos)
    assert code == 0, report["failures"]
    artifacts = report["manifest"]["artifacts"]
    assert {each["id"]: each["parity"]["outcome"] for each in artifacts} == dict.fromkeys(
        TARGETS, "agrees"
    )


def test_what_no_engine_runs_in_integers_is_not_called_int8(
    make_model: MakeModel, digits_photos: Path, cli: Cli
) -> None:
    """ONNX Runtime has no integer kernel for transposed convolutions."""
    model = make_model("deconvolution")
    code, report = exported(cli, model, "mlpackage,onnx-int8", digits_photos)
    assert code == 4, report["failures"]
    assert "run in integers" in report["failures"]["onnx-int8"]
    assert report["failures"]["onnx-int8"].endswith("use onnx-fp16")
    (artifact,) = report["manifest"]["artifacts"]
    assert (artifact["id"], artifact["parity"]["outcome"]) == ("mlpackage", "agrees")
