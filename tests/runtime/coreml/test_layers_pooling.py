"""Pooling against windows cut out in numpy, and against numbers that Core ML itself printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values

MAX, AVERAGE, L2 = 0, 1, 2


def pooled(x: Any, size: int, stride: int, function: Callable[[Any], Any]) -> Any:
    """Valid pooling with a square window."""
    tall, wide = ((length - size) // stride + 1 for length in x.shape[-2:])
    y = np.zeros((*x.shape[:2], tall, wide))
    for i in range(tall):
        for j in range(wide):
            top, left = i * stride, j * stride
            patch = x[:, :, top : top + size, left : left + size]
            y[:, :, i, j] = function(patch.reshape(*x.shape[:2], -1))
    return y


def padded(x: Any, before: int, after: int, value: float = 0.0) -> Any:
    edges = ((0, 0), (0, 0), (before, after), (before, after))
    return np.pad(x, edges, constant_values=value)


def borders(before: int, after: int) -> dict[str, Any]:
    edge = {"startEdgeSize": before, "endEdgeSize": after}
    return {"paddingAmounts": {"borderAmounts": [edge, edge]}}


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (MAX, lambda patch: patch.max(-1)),
        (AVERAGE, lambda patch: patch.mean(-1)),
        (L2, lambda patch: np.sqrt((patch**2).sum(-1))),
    ],
)
def test_each_kind_of_pooling(kind: int, function: Callable[[Any], Any]) -> None:
    x = values(1, 3, 8, 7)
    given = {"type": kind, "kernelSize": [3, 3], "stride": [2, 2], "valid": {}}
    np.testing.assert_allclose(run_layer("pooling", given, x), pooled(x, 3, 2, function), atol=1e-5)


def test_padding_never_wins_a_maximum() -> None:
    x = -1.0 - np.abs(values(1, 2, 5, 5))
    given = {"type": MAX, "kernelSize": [3, 3], "stride": [2, 2], "valid": borders(1, 1)}
    expected = pooled(padded(x, 1, 1, -np.inf), 3, 2, lambda patch: patch.max(-1))
    np.testing.assert_allclose(run_layer("pooling", given, x), expected)


def test_padding_counts_in_an_average_unless_it_is_excluded() -> None:
    x = values(1, 2, 5, 5)
    given = {"type": AVERAGE, "kernelSize": [3, 3], "stride": [2, 2], "valid": borders(1, 1)}
    total = pooled(padded(x, 1, 1), 3, 2, lambda patch: patch.sum(-1))
    inside = pooled(padded(np.ones_like(x), 1, 1), 3, 2, lambda patch: patch.sum(-1))
    np.testing.assert_allclose(run_layer("pooling", given, x), total / 9, atol=1e-6)
    excluding = given | {"avgPoolExcludePadding": True}
    np.testing.assert_allclose(run_layer("pooling", excluding, x), total / inside, atol=1e-6)


@pytest.mark.parametrize(("mode", "start"), [(0, 0), (1, 1)])
def test_same_puts_the_odd_row_where_its_mode_says(mode: int, start: int) -> None:
    x = np.abs(values(1, 1, 6, 6))
    given = {
        "type": MAX,
        "kernelSize": [3, 3],
        "stride": [2, 2],
        "same": {"asymmetryMode": mode},
    }
    expected = pooled(padded(x, start, 1 - start), 3, 2, lambda patch: patch.max(-1))
    np.testing.assert_allclose(run_layer("pooling", given, x), expected)


def test_the_overhang_of_the_last_pixel_counts_as_core_ml_counts_it() -> None:
    # Printed by Apple's runtime in https://github.com/apple/coremltools/pull/2844 for a ceil-mode
    # average, which the converter writes as includeLastPixel.
    x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    given = {"type": AVERAGE, "kernelSize": [2, 2], "stride": [3, 3], "includeLastPixel": {}}
    expected = [[4, 7, 4.75], [25, 28, 15.25], [21.25, 22.75, 12]]
    np.testing.assert_array_equal(run_layer("pooling", given, x)[0, 0], expected)


@pytest.mark.parametrize(
    ("length", "size", "stride", "amount", "steps"),
    # By the formula of the specification; in the last two the window that would start in the
    # padding is dropped.
    [(7, 2, 3, 0, 3), (8, 3, 2, 0, 4), (7, 3, 2, 1, 4), (6, 2, 2, 1, 4), (5, 3, 3, 1, 2)],
)
def test_the_last_pixel_is_included(
    length: int, size: int, stride: int, amount: int, steps: int
) -> None:
    x = values(1, 1, length, length)
    given = {
        "type": MAX,
        "kernelSize": [size, size],
        "stride": [stride, stride],
        "includeLastPixel": {"paddingAmounts": [amount, amount]},
    }
    found = run_layer("pooling", given, x)
    after = max(0, (steps - 1) * stride + size - length - amount)
    expected = pooled(padded(x, amount, after, -np.inf), size, stride, lambda p: p.max(-1))
    assert found.shape[-1] == steps
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("kind", "function"), [(MAX, np.max), (AVERAGE, np.mean)], ids=["max", "average"]
)
def test_global_pooling_takes_the_whole_image(kind: int, function: Callable[..., Any]) -> None:
    x = values(1, 2, 1, 3, 5, 4)
    given = {"type": kind, "globalPooling": True, "kernelSize": [0, 0], "valid": {}}
    expected = function(x, axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(run_layer("pooling", given, x), expected, atol=1e-6)


def test_a_window_of_padding_alone_is_refused() -> None:
    given = {"type": MAX, "kernelSize": [2, 2], "stride": [1, 1], "valid": borders(2, 2)}
    with pytest.raises(UnsupportedError, match="padding 2 and 2 around a kernel of 2"):
        run_layer("pooling", given, values(1, 1, 4, 4))


def test_a_kind_or_a_padding_that_is_unknown_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no type of padding"):
        run_layer("pooling", {"type": MAX, "kernelSize": [2, 2]}, values(1, 1, 4, 4))
    with pytest.raises(UnsupportedError, match="type 7"):
        run_layer("pooling", {"type": 7, "kernelSize": [2, 2]}, values(1, 1, 4, 4))


def test_a_kernel_larger_than_its_image_is_refused() -> None:
    with pytest.raises(BundleError, match="empty or absurdly large"):
        run_layer("pooling", {"kernelSize": [5, 5], "valid": {}}, values(1, 1, 4, 4))
