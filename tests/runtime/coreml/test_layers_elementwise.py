"""Arithmetic, comparison and choice against numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values

A, B = values(2, 3, 4), values(2, 3, 4, seed=1)
ROUGH = np.round(A), np.round(B)


@pytest.mark.parametrize(
    ("kind", "function"),
    [("add", np.add), ("multiply", np.multiply), ("max", np.maximum), ("min", np.minimum)],
)
def test_a_layer_of_many_inputs_takes_them_all(kind: str, function: Callable[..., Any]) -> None:
    third = values(2, 1, 1, seed=2)
    expected = function(function(A, B), third)
    np.testing.assert_allclose(run_layer(kind, {}, A, B, third), expected, atol=1e-6)


def test_an_average_divides_by_the_number_of_inputs() -> None:
    third = values(2, 3, 4, seed=2)
    found = run_layer("average", {}, A, B, third)
    np.testing.assert_allclose(found, (A + B + third) / 3, atol=1e-6)


def test_with_one_input_the_scalar_is_the_second() -> None:
    np.testing.assert_allclose(run_layer("add", {"alpha": 2.5}, A), A + 2.5)
    np.testing.assert_allclose(run_layer("multiply", {"alpha": 2.5}, A), A * 2.5)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 1), (1, 3, 4), (1,), (1, 1)])
@pytest.mark.parametrize(("kind", "function"), [("add", np.add), ("multiply", np.multiply)])
def test_the_old_layers_count_channel_height_and_width_from_the_back(
    kind: str, function: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    image, smaller = values(1, 1, 2, 3, 4), values(*shape, seed=1)
    expected = function(image, smaller)
    assert expected.shape == image.shape
    np.testing.assert_allclose(run_layer(kind, {}, image, smaller), expected, atol=1e-6)
    np.testing.assert_allclose(run_layer(kind, {}, smaller, image), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["add", "multiply", "max", "min", "average"])
def test_a_vector_beside_an_image_is_refused_by_the_old_layers(kind: str) -> None:
    with pytest.raises(UnsupportedError, match=r"ranks, some below 3: \(4, 3, 4\), \(4,\)"):
        run_layer(kind, {}, values(4, 3, 4), values(4))


BROADCASTABLE: dict[str, Callable[..., Any]] = {
    "addBroadcastable": np.add,
    "subtractBroadcastable": np.subtract,
    "multiplyBroadcastable": np.multiply,
    "divideBroadcastable": np.divide,
    "maxBroadcastable": np.maximum,
    "minBroadcastable": np.minimum,
    "floorDivBroadcastable": np.floor_divide,
}


@pytest.mark.parametrize("kind", BROADCASTABLE)
def test_a_broadcastable_layer_broadcasts_as_numpy(kind: str) -> None:
    row = B[0, 1:2]
    found = run_layer(kind, {}, A, row)
    np.testing.assert_allclose(found, BROADCASTABLE[kind](A, row), rtol=1e-5)


def test_a_power_is_that_of_the_second_input() -> None:
    base = np.abs(A)
    np.testing.assert_allclose(run_layer("powBroadcastable", {}, base, B), base**B, rtol=1e-4)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BundleError, match="do not fit each other"):
        run_layer("addBroadcastable", {}, A, values(5))


COMPARISONS: dict[str, Callable[..., Any]] = {
    "equal": np.equal,
    "notEqual": np.not_equal,
    "lessThan": np.less,
    "lessEqual": np.less_equal,
    "greaterThan": np.greater,
    "greaterEqual": np.greater_equal,
}


@pytest.mark.parametrize("kind", COMPARISONS)
def test_a_comparison_answers_with_one_and_zero(kind: str) -> None:
    first, second = ROUGH
    found = run_layer(kind, {}, first, second)
    np.testing.assert_array_equal(found, COMPARISONS[kind](first, second).astype(np.float32))
    found = run_layer(kind, {"alpha": 1.0}, first)
    np.testing.assert_array_equal(found, COMPARISONS[kind](first, 1.0).astype(np.float32))


@pytest.mark.parametrize("kind", ["logicalAnd", "logicalOr", "logicalXor"])
def test_logic_takes_what_is_not_zero_for_true(kind: str) -> None:
    function = getattr(np, kind.replace("logical", "logical_").lower())
    np.testing.assert_array_equal(run_layer(kind, {}, *ROUGH), function(*ROUGH))


def test_logical_not() -> None:
    np.testing.assert_array_equal(run_layer("logicalNot", {}, ROUGH[0]), ROUGH[0] == 0)


def test_where_takes_the_first_value_where_the_condition_holds() -> None:
    condition = np.array([[1.0], [0.0], [2.0]])
    found = run_layer("whereBroadcastable", {}, condition, A, B)
    np.testing.assert_array_equal(found, np.where(condition != 0, A, B))
