"""Activations and functions of one value against their formulas in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values, weights

X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 2, 3, 4)
erf = np.vectorize(math.erf)

ACTIVATIONS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "linear": ({"alpha": 2.5, "beta": -1}, lambda x: 2.5 * x - 1),
    "ReLU": ({}, lambda x: np.maximum(x, 0)),
    "leakyReLU": ({"alpha": 0.3}, lambda x: np.where(x >= 0, x, 0.3 * x)),
    "thresholdedReLU": ({"alpha": 0.5}, lambda x: np.where(x >= 0.5, x, 0)),
    "tanh": ({}, np.tanh),
    "scaledTanh": ({"alpha": 1.7, "beta": 0.6}, lambda x: 1.7 * np.tanh(0.6 * x)),
    "sigmoid": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "sigmoidHard": ({"alpha": 0.4, "beta": 0.3}, lambda x: np.clip(0.4 * x + 0.3, 0, 1)),
    "ELU": ({"alpha": 0.7}, lambda x: np.where(x >= 0, x, 0.7 * (np.exp(x) - 1))),
    "softsign": ({}, lambda x: x / (1 + np.abs(x))),
    "softplus": ({}, lambda x: np.log1p(np.exp(x))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_follows_its_formula(name: str) -> None:
    parameters, function = ACTIVATIONS[name]
    found = run_layer("activation", {name: parameters}, X)
    np.testing.assert_allclose(found, function(X), atol=1e-6)


def test_a_thresholded_relu_keeps_the_threshold_itself() -> None:
    found = run_layer("activation", {"thresholdedReLU": {"alpha": 1.0}}, [1.0, 0.999])
    np.testing.assert_array_equal(found, [1.0, 0.0])


@pytest.mark.parametrize("slopes", [[0.1, 0.9], [0.25]])
def test_a_prelu_has_a_slope_per_channel_or_one_for_all(slopes: list[float]) -> None:
    found = run_layer("activation", {"PReLU": {"alpha": weights(slopes)}}, X)
    alpha = np.reshape(slopes, (-1, 1, 1))
    np.testing.assert_allclose(found, np.where(X >= 0, X, alpha * X), atol=1e-6)


def test_a_parametric_softplus_has_two_numbers_per_channel() -> None:
    alpha, beta = np.array([0.5, 2.0]), np.array([1.5, -0.5])
    given = {"alpha": weights(alpha), "beta": weights(beta)}
    found = run_layer("activation", {"parametricSoftplus": given}, X)
    a, b = alpha.reshape(-1, 1, 1), beta.reshape(-1, 1, 1)
    np.testing.assert_allclose(found, a * np.log1p(np.exp(b * X)), atol=1e-6)


def test_an_activation_of_no_type_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="of no type"):
        run_layer("activation", {}, X)


def test_a_clamped_relu_is_cut_at_beta() -> None:
    found = run_layer("clampedReLU", {"alpha": 0.2, "beta": 1.5}, X)
    np.testing.assert_allclose(found, np.minimum(1.5, np.where(X >= 0, X, 0.2 * X)), atol=1e-6)


GELUS: list[Callable[[Any], Any]] = [
    lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    lambda x: x / (1 + np.exp(-1.702 * x)),
]


@pytest.mark.parametrize("mode", range(3))
def test_the_three_modes_of_gelu(mode: int) -> None:
    np.testing.assert_allclose(run_layer("gelu", {"mode": mode}, X), GELUS[mode](X), atol=1e-6)


def test_clip_keeps_values_between_its_limits() -> None:
    np.testing.assert_array_equal(
        run_layer("clip", {"minVal": -1, "maxVal": 2}, X), np.clip(X, -1, 2)
    )
    with pytest.raises(BundleError, match=r"minVal 2\.0 above maxVal 1\.0"):
        run_layer("clip", {"minVal": 2, "maxVal": 1}, X)


P = np.abs(X) + 0.1
UNARY: list[tuple[dict[str, Any], Any, Callable[[Any], Any]]] = [
    ({"type": 0}, P, np.sqrt),
    ({"type": 1, "epsilon": 0.5}, P, lambda x: 1 / np.sqrt(x + 0.5)),
    ({"type": 1}, P * 0, lambda x: 1 / np.sqrt(x + 1e-6)),
    ({"type": 2, "epsilon": 0.5}, P, lambda x: 1 / (x + 0.5)),
    ({"type": 2}, P * 0, lambda x: 1 / (x + 1e-6)),
    ({"type": 3, "alpha": 2.5}, P, lambda x: x**2.5),
    ({"type": 4}, X, np.exp),
    ({"type": 5}, P, np.log),
    ({"type": 6}, X, np.abs),
    ({"type": 7, "alpha": 0.5}, X, lambda x: np.maximum(0.5, x)),
    ({"type": 4, "scale": 0.5, "shift": 0.25}, X, lambda x: np.exp(0.5 * x + 0.25)),
]


@pytest.mark.parametrize(("parameters", "x", "function"), UNARY)
def test_a_unary_function_follows_its_formula(
    parameters: dict[str, Any], x: Any, function: Callable[[Any], Any]
) -> None:
    np.testing.assert_allclose(run_layer("unary", parameters, x), function(x), rtol=1e-5)


PLAIN = ["ceil", "floor", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp2"]


@pytest.mark.parametrize("name", PLAIN)
def test_a_function_has_the_meaning_of_its_name(name: str) -> None:
    np.testing.assert_allclose(run_layer(name, {}, X), getattr(np, name)(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["asin", "acos", "atan", "asinh", "atanh", "acosh"])
def test_an_inverse_function_has_the_meaning_of_its_name(name: str) -> None:
    x = np.abs(X) + 1 if name == "acosh" else X / 4
    expected = getattr(np, name.replace("a", "arc", 1))(x)
    np.testing.assert_allclose(run_layer(name, {}, x), expected, rtol=1e-5, atol=1e-6)


def test_erf_and_copy() -> None:
    np.testing.assert_allclose(run_layer("erf", {}, X), erf(X), atol=1e-6)
    np.testing.assert_array_equal(run_layer("copy", {}, X), X)


def test_round_takes_the_nearest_whole_number() -> None:
    x = [0.4, 0.6, -0.4, -0.6, 2.51, -7.49]
    np.testing.assert_array_equal(run_layer("round", {}, x), [0, 1, 0, -1, 3, -7])


def test_a_device_estimate_rounds_the_result_to_half_precision() -> None:
    x = values(50) * 100
    found = run_layer("activation", {"linear": {"alpha": 3}}, x, arithmetic="device-estimate")
    np.testing.assert_array_equal(found, (np.float32(3) * x).astype(np.float16))


def test_a_device_estimate_shows_overflow() -> None:
    x = [70000.0, 1.0]
    found = run_layer("copy", {}, x, arithmetic="device-estimate")
    np.testing.assert_array_equal(found, [np.inf, 1.0])
