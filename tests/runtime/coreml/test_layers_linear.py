"""Matrix products, scales and biases against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values, weights


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((24,), (5,)),
        ((3, 24), (3, 5)),
        ((2, 3, 24), (2, 3, 5)),
        ((2, 2, 3, 4), (2, 5, 1, 1)),
        ((3, 1, 2, 3, 4), (3, 1, 5, 1, 1)),
    ],
)
def test_an_inner_product_reads_each_rank_its_own_way(
    shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    x, w, b = values(*shape), values(5, 24, seed=1), values(5, seed=2)
    given = {"inputChannels": 24, "outputChannels": 5, "weights": weights(w)}
    expected = x.reshape(-1, 24) @ w.T
    np.testing.assert_allclose(
        run_layer("innerProduct", given, x), expected.reshape(result), atol=1e-5
    )
    with_bias = given | {"hasBias": True, "bias": weights(b)}
    found = run_layer("innerProduct", with_bias, x)
    np.testing.assert_allclose(found, (expected + b).reshape(result), atol=1e-5)


def test_an_inner_product_that_quantizes_its_input_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="int8DynamicQuantize"):
        run_layer("innerProduct", {"int8DynamicQuantize": True}, values(3))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_the_weights_of_a_matrix_product_are_stored_by_columns(shape: tuple[int, ...]) -> None:
    x, w, b = values(*shape), values(4, 6, seed=1), values(6, seed=2)
    given = {
        "weightMatrixFirstDimension": 4,
        "weightMatrixSecondDimension": 6,
        "weights": weights(w.ravel(order="F")),
        "hasBias": True,
        "bias": weights(b),
    }
    np.testing.assert_allclose(run_layer("batchedMatmul", given, x), x @ w + b, atol=1e-5)


@pytest.mark.parametrize("transpose_first", [False, True])
@pytest.mark.parametrize("transpose_second", [False, True])
def test_two_inputs_are_multiplied_as_they_are_or_transposed(
    transpose_first: bool, transpose_second: bool
) -> None:
    a, b = values(2, 1, 3, 4), values(5, 4, 6, seed=1)
    given = {"transposeA": transpose_first, "transposeB": transpose_second}
    first = a.swapaxes(-1, -2) if transpose_first else a
    second = b.swapaxes(-1, -2) if transpose_second else b
    np.testing.assert_allclose(run_layer("batchedMatmul", given, first, second), a @ b, atol=1e-5)


def test_vectors_become_a_row_and_a_column() -> None:
    a, b = values(4), values(4, seed=1)
    np.testing.assert_allclose(run_layer("batchedMatmul", {}, a, b), [[a @ b]], atol=1e-6)


def test_matrices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BundleError, match="cannot be multiplied"):
        run_layer("batchedMatmul", {}, values(3, 4), values(3, 4))


@pytest.mark.parametrize("cosine", [False, True])
def test_a_dot_product_or_the_cosine(cosine: bool) -> None:
    a, b = values(2, 7, 1, 1), values(2, 7, 1, 1, seed=1)
    expected = (a * b).sum(1, keepdims=True)
    if cosine:
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        expected = expected / lengths[:, None]
    found = run_layer("dot", {"cosineSimilarity": cosine}, a, b)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 4, 5), (3, 4, 5), (3, 1, 1)])
def test_scales_and_biases_lie_along_channels_height_and_width(shape: tuple[int, ...]) -> None:
    x, s = values(2, 3, 4, 5), values(*shape, seed=1)
    aligned: Any = s.reshape(-1, 1, 1) if len(shape) == 1 else s
    scaling = {"shapeScale": shape, "scale": weights(s)}
    np.testing.assert_allclose(run_layer("scale", scaling, x), x * aligned, atol=1e-6)
    both = scaling | {"hasBias": True, "shapeBias": shape, "bias": weights(s)}
    np.testing.assert_allclose(run_layer("scale", both, x), x * aligned + aligned, atol=1e-6)
    found = run_layer("bias", {"shape": shape, "bias": weights(s)}, x)
    np.testing.assert_allclose(found, x + aligned, atol=1e-6)


def test_a_bias_of_the_wrong_shape_or_length_is_refused() -> None:
    x = values(2, 3, 4, 5)
    with pytest.raises(BundleError, match="shape"):
        run_layer("bias", {"shape": [4], "bias": weights(values(4))}, x)
    with pytest.raises(BundleError, match="2 values, expected 3"):
        run_layer("bias", {"shape": [3], "bias": weights(values(2))}, x)
