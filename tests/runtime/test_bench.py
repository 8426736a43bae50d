from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mobilecv_runtime.bench import Contender, NotTimed, Timing, contenders, measure
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.report import bench_table
from mobilecv_runtime.runners import open_runner


@pytest.fixture(scope="module")
def timings(exported: Path) -> list[Timing | NotTimed]:
    bundle = Bundle.open(exported)
    broken = Contender(name="broken", make=partial(open_runner, Path("gone.onnx")), bytes=0)
    chosen = [c for c in contenders(bundle, threads=1) if c.name in ("tflite", "onnx")]
    return measure([*chosen, broken], bundle.golden.images[:1], runs=7, rounds=3)


def test_every_contender_is_timed_in_every_round(timings: list[Timing | NotTimed]) -> None:
    for timing in timings[:2]:
        assert isinstance(timing, Timing)
        assert [len(samples) for samples in timing.rounds] == [3, 3, 3]
        assert 0 < timing.percentile(0.5) <= timing.percentile(0.9) <= timing.percentile(0.99)
        assert timing.load > 0
        assert timing.first > 0
        assert timing.peak_memory > 10_000_000
        assert timing.engine in ("LiteRT", "ONNX Runtime")
        assert timing.bytes > 1000


def test_a_contender_that_fails_is_skipped_with_its_reason(
    timings: list[Timing | NotTimed],
) -> None:
    assert isinstance(timings[2], NotTimed)
    assert "no such artifact" in timings[2].reason


def test_raw_samples_are_kept_in_milliseconds(timings: list[Timing | NotTimed]) -> None:
    data = timings[0].to_json()
    assert data["p50_ms"] in [ms for samples in data["samples_ms"] for ms in samples]
    assert data["images_per_second"] == pytest.approx(1000 / data["p50_ms"])


def test_the_table_names_all(timings: list[Timing | NotTimed]) -> None:
    lines = bench_table(timings).markdown().splitlines()
    assert lines[0].split()[1] == "artifact"
    assert [line.split()[1] for line in lines[2:]] == ["tflite", "onnx", "broken"]


def test_percentiles_are_of_the_nearest_rank() -> None:
    samples = tuple(float(number) for number in range(100))
    timing = Timing(
        name="x",
        engine="none",
        bytes=1,
        load=1,
        first=1,
        rounds=(samples[:50], samples[50:]),
        peak_memory=1,
    )
    assert [timing.percentile(share) for share in (0.5, 0.9, 0.99)] == [50, 90, 99]
    assert timing.is_noisy
    assert not np.isnan(timing.to_json()["p99_ms"])
