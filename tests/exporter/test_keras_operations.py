"""Operations that converters, quantisers or engines trip over, in whole exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mobilecv.targets import TARGETS
from tests_shared import Cli

MakeModel = Callable[[str], Path]


def test_rare_operations_reach_every_target(
    make_model: MakeModel, digits_photos: Path, cli: Cli
) -> None:
    photos = digits_photos / "calibration"
    words = ["--to", "all", "--preset", "tf", "--calibration", photos, "--json"]

    done = cli("export", make_model("rare_operations"), *words)

    assert done.returncode == 0, done.stderr
    artifacts = json.loads(done.stdout)["manifest"]["artifacts"]
    assert {each["id"]: each["parity"]["outcome"] for each in artifacts} == dict.fromkeys(
        TARGETS, "agrees"
    )


def test_what_no_engine_runs_in_integers_is_not_called_int8(
    make_model: MakeModel, digits_photos: Path, cli: Cli
) -> None:
    """ONNX Runtime has no integer kernel for transposed convolutions."""
    photos = digits_photos / "calibration"
    words = ["--to", "mlpackage,onnx-int8", "--preset", "tf", "--calibration", photos, "--json"]

    done = cli("export", make_model("deconvolution"), *words)

    report = json.loads(done.stdout)
    assert done.returncode == 4, done.stderr
    assert "run in integers" in report["failures"]["onnx-int8"]
    assert report["failures"]["onnx-int8"].endswith("use onnx-fp16")
    (artifact,) = report["manifest"]["artifacts"]
    assert (artifact["id"], artifact["parity"]["outcome"]) == ("mlpackage", "agrees")
