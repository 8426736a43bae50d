from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mobilecv_runtime import Bundle
from mobilecv_runtime.runners import coreml, open_runner
from mobilecv_runtime.runners.coreml import (
    AppleCoremlRunner,
    ExecutedCoremlRunner,
    has_apple_runtime,
)


class FakeModel:
    """Stands in for `coremltools.models.MLModel`: gives each label the share of one pixel."""

    def __init__(self, path: str, compute_units: str) -> None:
        assert Path(path).exists()
        assert compute_units == "CPU"

    def predict(self, feed: dict[str, Image.Image]) -> dict[str, object]:
        red = feed["image"].getpixel((0, 0))[0]
        names = ("nine", "eight", "seven", "six", "five", "four", "three", "two", "one", "zero")
        return {"classLabel": "x", "probabilities": {name: red + i for i, name in enumerate(names)}}


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(
        models=SimpleNamespace(MLModel=FakeModel), ComputeUnit=SimpleNamespace(CPU_ONLY="CPU")
    )
    monkeypatch.setitem(sys.modules, "coremltools", fake)
    monkeypatch.setattr(coreml, "has_apple_runtime", lambda: True)


@pytest.mark.usefixtures("on_a_mac")
def test_on_a_mac_apples_runtime_answers_in_the_order_of_the_labels(exported: Path) -> None:
    runner = open_runner(exported / "digits.mlmodel")
    assert isinstance(runner, AppleCoremlRunner)
    pixels = Bundle.open(exported).golden.images[:2]
    expected = pixels[:, 0, 0, :1].astype(np.float32) + np.arange(9, -1, -1)
    assert (runner.scores(pixels) == expected).all()


@pytest.mark.skipif(sys.platform == "darwin", reason="here Apple's runtime is chosen")
def test_elsewhere_the_executor_runs_and_says_what_it_is(exported: Path) -> None:
    assert not has_apple_runtime()
    runner = open_runner(exported / "digits.mlpackage")
    assert isinstance(runner, ExecutedCoremlRunner)
    assert "not Apple's runtime" in runner.engine


def test_both_arithmetics_are_near_the_source(exported: Path) -> None:
    golden = Bundle.open(exported).golden
    path = exported / "digits.mlpackage"
    stored = ExecutedCoremlRunner(path).scores(golden.images)
    estimate = ExecutedCoremlRunner(path, arithmetic="device-estimate").scores(golden.images)
    assert np.abs(stored - golden.scores).max() < 5e-3
    assert np.abs(estimate - golden.scores).max() < 1e-2
    assert not np.array_equal(stored, estimate)
