"""Normalising layers against their formulas in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values, weights

X = values(2, 3, 4, 5)
CHANNELS = {name: values(3, seed=seed) for seed, name in enumerate(("gamma", "beta", "mean"), 1)}
CHANNELS["variance"] = np.abs(values(3, seed=4)) + 0.1
WEIGHTS = {name: weights(array) for name, array in CHANNELS.items()}


def column(name: str) -> Any:
    return CHANNELS[name].reshape(-1, 1, 1)


def standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize(("stated", "epsilon"), [({}, 1e-5), ({"epsilon": 0.25}, 0.25)])
def test_batch_normalisation_uses_the_stored_statistics(
    stated: dict[str, float], epsilon: float
) -> None:
    found = run_layer("batchnorm", {"channels": 3, **WEIGHTS, **stated}, X)
    normal = (X - column("mean")) / np.sqrt(column("variance") + epsilon)
    np.testing.assert_allclose(found, normal * column("gamma") + column("beta"), atol=1e-5)


@pytest.mark.parametrize(("instance", "axes"), [(True, (2, 3)), (False, (0, 2, 3))])
def test_batch_normalisation_computes_statistics_when_told_to(
    instance: bool, axes: tuple[int, ...]
) -> None:
    given = {"channels": 3, "computeMeanVar": True, "instanceNormalization": instance, **WEIGHTS}
    expected = standardized(X, axes, 1e-5) * column("gamma") + column("beta")
    np.testing.assert_allclose(run_layer("batchnorm", given, X), expected, atol=1e-5)


def test_contradicting_statistics_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="instanceNormalization"):
        run_layer("batchnorm", {"channels": 3, "instanceNormalization": True, **WEIGHTS}, X)


@pytest.mark.parametrize(("across", "axes"), [(False, (2, 3)), (True, (1, 2, 3))])
def test_mean_variance_normalisation(across: bool, axes: tuple[int, ...]) -> None:
    given = {"acrossChannels": across, "normalizeVariance": True, "epsilon": 0.1}
    np.testing.assert_allclose(run_layer("mvn", given, X), standardized(X, axes, 0.1), atol=1e-5)
    centred = run_layer("mvn", {"acrossChannels": across}, X)
    np.testing.assert_allclose(centred, X - X.mean(axes, keepdims=True), atol=1e-6)


def test_l2_normalisation_divides_by_the_length_of_an_image() -> None:
    length = np.sqrt((X**2).sum((1, 2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(run_layer("l2normalize", {}, X), X / length, atol=1e-6)


def test_local_response_normalisation_looks_at_neighbouring_channels() -> None:
    x = values(1, 7, 2, 2)
    found = run_layer("lrn", {"alpha": 0.5, "beta": 0.75, "localSize": 5, "k": 2}, x)
    sums = [(x[:, max(0, c - 2) : c + 3] ** 2).sum(1) for c in range(7)]
    expected = x / (2 + 0.5 / 5 * np.stack(sums, 1)) ** 0.75
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_even_neighbourhood_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="localSize 4"):
        run_layer("lrn", {"alpha": 1, "beta": 1, "localSize": 4}, X)


@pytest.mark.parametrize("shape", [(5,), (4, 5)])
def test_layer_normalisation_covers_the_last_dimensions(shape: tuple[int, ...]) -> None:
    gamma, beta = values(*shape, seed=1), values(*shape, seed=2)
    given = {"normalizedShape": shape, "eps": 0.01}
    given |= {"gamma": weights(gamma), "beta": weights(beta)}
    axes = tuple(range(-len(shape), 0))
    expected = gamma * standardized(X, axes, 0.01) + beta
    np.testing.assert_allclose(run_layer("layerNormalization", given, X), expected, atol=1e-5)


def test_a_normalised_shape_that_is_not_the_inputs_is_refused() -> None:
    with pytest.raises(BundleError, match="normalizedShape"):
        run_layer("layerNormalization", {"normalizedShape": [4]}, X)


def softmax(x: Any, axis: int) -> Any:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def test_softmax_runs_over_channels_or_over_a_given_axis() -> None:
    np.testing.assert_allclose(run_layer("softmax", {}, X), softmax(X, -3), atol=1e-6)
    np.testing.assert_allclose(run_layer("softmaxND", {"axis": -1}, X), softmax(X, 3), atol=1e-6)
