"""Interpolation and reductions against numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values

X = values(1, 2, 3, 5)


def read_at(x: Any, rows: Any, columns: Any) -> Any:
    """Bilinear interpolation at grid points, by numpy's own interpolation along each axis."""
    rows, columns = np.clip(rows, 0, x.shape[-2] - 1), np.clip(columns, 0, x.shape[-1] - 1)

    def along(points: Any) -> Callable[[Any], Any]:
        return lambda line: np.interp(points, np.arange(len(line)), line)

    return np.apply_along_axis(along(columns), -1, np.apply_along_axis(along(rows), -2, x))


def test_nearest_neighbours_are_repeated() -> None:
    found = run_layer("upsample", {"scalingFactor": [2, 3]}, X)
    np.testing.assert_array_equal(found, X.repeat(2, -2).repeat(3, -1))


GRIDS: list[Callable[[int, int], Any]] = [
    lambda n, m: np.arange(m) * (n - n / m) / (m - 1),
    lambda n, m: np.linspace(0, n - 1, m),
    lambda n, m: (np.arange(m) + 0.5) * n / m - 0.5,
]


@pytest.mark.parametrize("mode", range(3))
def test_bilinear_upsampling_reads_the_grid_of_its_mode(mode: int) -> None:
    given = {"scalingFactor": [2, 3], "mode": 1, "linearUpsampleMode": mode}
    expected = read_at(X, GRIDS[mode](3, 6), GRIDS[mode](5, 15))
    np.testing.assert_allclose(run_layer("upsample", given, X), expected, atol=1e-6)


def test_a_fractional_factor_must_give_a_whole_size() -> None:
    given = {"fractionalScalingFactor": [2, 1.4], "mode": 1, "linearUpsampleMode": 2}
    expected = read_at(X, GRIDS[2](3, 6), GRIDS[2](5, 7))
    np.testing.assert_allclose(run_layer("upsample", given, X), expected, atol=1e-6)
    with pytest.raises(UnsupportedError, match="no whole size"):
        run_layer("upsample", given | {"fractionalScalingFactor": [2, 1.5]}, X)


@pytest.mark.parametrize("factor", [1e-6, -1.0, float("nan"), 1e9])
def test_a_factor_that_gives_no_image_is_refused(factor: float) -> None:
    with pytest.raises(BundleError):
        run_layer("upsample", {"fractionalScalingFactor": [factor, 1], "mode": 1}, X)


def test_an_absurd_size_is_refused_before_anything_is_made() -> None:
    with pytest.raises(BundleError, match="absurdly large"):
        run_layer("upsample", {"scalingFactor": [1 << 26, 1], "mode": 1}, X)
    with pytest.raises(BundleError, match="absurdly large"):
        run_layer("resizeBilinear", {"targetSize": [1, 1 << 27], "mode": {}}, X)


SAMPLING: list[Callable[[int, int], Any]] = [
    lambda n, m: np.linspace(0, n - 1, m),
    lambda n, m: np.linspace(0, n - 1, m),
    lambda n, m: np.linspace(0, n - n / m, m),
    lambda n, m: (np.arange(m) + 0.5) * max(1, n - 1) / m,
]


@pytest.mark.parametrize("method", range(4))
def test_a_bilinear_resize_samples_as_its_mode_says(method: int) -> None:
    given = {"targetSize": [7, 4], "mode": {"samplingMethod": method}}
    expected = read_at(X, SAMPLING[method](3, 7), SAMPLING[method](5, 4))
    np.testing.assert_allclose(run_layer("resizeBilinear", given, X), expected, atol=1e-6)


def test_one_sample_lies_at_the_start_or_in_the_middle() -> None:
    start = run_layer("resizeBilinear", {"mode": {"samplingMethod": 0}}, X)
    np.testing.assert_allclose(start, X[..., :1, :1])
    middle = run_layer("resizeBilinear", {"mode": {"samplingMethod": 1}}, X)
    np.testing.assert_allclose(middle, X[..., 1:2, 2:3])


P = np.abs(values(2, 3, 4, 5)) + 0.1
MODES: list[Callable[..., Any]] = [
    np.sum,
    np.mean,
    np.prod,
    lambda x, **along: np.sum(np.log(x + 1e-6), **along),
    lambda x, **along: np.sum(x**2, **along),
    lambda x, **along: np.sum(np.abs(x), **along),
    lambda x, **along: np.sqrt(np.sum(x**2, **along)),
    np.max,
    np.min,
]
AXES = [(-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,)]


@pytest.mark.parametrize("mode", range(9))
@pytest.mark.parametrize("axis", range(5))
def test_a_reduction_keeps_the_rank(mode: int, axis: int) -> None:
    found = run_layer("reduce", {"mode": mode, "axis": axis}, P)
    np.testing.assert_allclose(found, MODES[mode](P, axis=AXES[axis], keepdims=True), rtol=1e-4)


def test_the_position_of_the_maximum() -> None:
    found = run_layer("reduce", {"mode": 9, "axis": 3}, P)
    np.testing.assert_array_equal(found, P.argmax(-2, keepdims=True))


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduceSum": np.sum,
    "reduceMean": np.mean,
    "reduceMax": np.max,
    "reduceMin": np.min,
    "reduceProd": np.prod,
    "reduceL1": MODES[5],
    "reduceL2": MODES[6],
    "reduceSumSquare": MODES[4],
    "reduceLogSum": lambda x, **along: np.log(np.sum(x, **along)),
    "reduceLogSumExp": lambda x, **along: np.log(np.sum(np.exp(x), **along)),
}


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("keep", [False, True])
def test_a_reduction_of_any_axes(kind: str, keep: bool) -> None:
    found = run_layer(kind, {"axes": [0, -2], "keepDims": keep}, P)
    expected = REDUCTIONS[kind](P, axis=(0, -2), keepdims=keep)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_reduction_of_everything_leaves_one_value() -> None:
    found = run_layer("reduceSum", {"reduceAll": True}, P)
    np.testing.assert_allclose(found, [P.sum()], rtol=1e-5)
