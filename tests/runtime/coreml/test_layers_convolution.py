"""Convolution and deconvolution against sums written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values, weights


def convolved(
    x: Any,
    w: Any,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Any:
    """Valid convolution, one output value at a time."""
    batch, _, height, width = x.shape
    results, depth, rows, columns = w.shape
    tall = (height - (rows - 1) * dilation[0] - 1) // stride[0] + 1
    wide = (width - (columns - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((batch, results, tall, wide))
    for o in range(results):
        first = o // (results // groups) * depth
        for i in range(tall):
            for j in range(wide):
                top, left = i * stride[0], j * stride[1]
                patch = x[
                    :,
                    first : first + depth,
                    top : top + rows * dilation[0] : dilation[0],
                    left : left + columns * dilation[1] : dilation[1],
                ][:, :, :rows, :columns]
                y[:, o, i, j] = (patch * w[o]).sum((1, 2, 3))
    return y


def deconvolved(x: Any, w: Any, stride: tuple[int, int], groups: int = 1) -> Any:
    """Every input pixel stamps the kernel onto the output."""
    batch, channels, height, width = x.shape
    _, depth, rows, columns = w.shape
    y = np.zeros(
        (batch, depth * groups, (height - 1) * stride[0] + rows, (width - 1) * stride[1] + columns)
    )
    for c in range(channels):
        first = c // (channels // groups) * depth
        for i in range(height):
            for j in range(width):
                top, left = i * stride[0], j * stride[1]
                y[:, first : first + depth, top : top + rows, left : left + columns] += (
                    x[:, c, i, j][:, None, None, None] * w[c]
                )
    return y


def parameters(w: Any, **others: Any) -> dict[str, Any]:
    return {
        "outputChannels": w.shape[0],
        "kernelChannels": w.shape[1],
        "kernelSize": w.shape[2:],
        "weights": weights(w),
        **others,
    }


def edges(top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    amounts = [
        {"startEdgeSize": top, "endEdgeSize": bottom},
        {"startEdgeSize": left, "endEdgeSize": right},
    ]
    return {"paddingAmounts": {"borderAmounts": amounts}}


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_a_convolution_slides_its_kernel(
    stride: tuple[int, int], dilation: tuple[int, int]
) -> None:
    x, w, bias = values(1, 3, 9, 11), values(4, 3, 3, 2, seed=1), values(4, seed=2)
    y = run_layer(
        "convolution",
        parameters(
            w, stride=stride, dilationFactor=dilation, valid={}, hasBias=True, bias=weights(bias)
        ),
        x,
    )
    np.testing.assert_allclose(
        y, convolved(x, w, stride, dilation) + bias.reshape(-1, 1, 1), atol=1e-5
    )


def test_groups_see_only_their_own_channels() -> None:
    x, w = values(1, 6, 5, 5), values(4, 3, 3, 3, seed=1)
    y = run_layer("convolution", parameters(w, nGroups=2, valid={}), x)
    np.testing.assert_allclose(y, convolved(x, w, groups=2), atol=1e-5)


def test_stated_borders_are_zeros_on_their_own_side() -> None:
    x, w = values(1, 2, 5, 6), values(3, 2, 3, 3, seed=1)
    y = run_layer("convolution", parameters(w, valid=edges(1, 0, 2, 3)), x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 3)))
    np.testing.assert_allclose(y, convolved(padded, w), atol=1e-5)


@pytest.mark.parametrize(("mode", "start"), [(0, 0), (1, 1)])
def test_same_puts_the_odd_row_where_its_mode_says(mode: int, start: int) -> None:
    x, w = values(1, 1, 8, 8), values(1, 1, 3, 3, seed=1)
    y = run_layer("convolution", parameters(w, stride=[2, 2], same={"asymmetryMode": mode}), x)
    padded = np.pad(x, ((0, 0), (0, 0), (start, 1 - start), (start, 1 - start)))
    np.testing.assert_allclose(y, convolved(padded, w, (2, 2)), atol=1e-5)


def test_sizes_that_are_not_written_have_the_defaults_of_the_specification() -> None:
    x, w = values(1, 1, 6, 6), values(1, 1, 3, 3, seed=1)
    given = {"outputChannels": 1, "kernelChannels": 1, "weights": weights(w), "valid": {}}
    np.testing.assert_allclose(run_layer("convolution", given, x), convolved(x, w), atol=1e-5)


def test_leading_dimensions_of_rank_five_are_a_batch() -> None:
    x, w = values(2, 3, 2, 5, 5), values(4, 2, 3, 3, seed=1)
    y = run_layer("convolution", parameters(w, valid={}), x)
    expected = convolved(x.reshape(6, 2, 5, 5), w).reshape(2, 3, 4, 3, 3)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_deconvolution_stamps_its_kernel(groups: int) -> None:
    x, w = values(1, 4, 3, 4), values(4, 3, 3, 2, seed=1)
    given = {
        "outputChannels": 3 * groups,
        "kernelChannels": 4,
        "kernelSize": [3, 2],
        "stride": [2, 2],
        "nGroups": groups,
        "isDeconvolution": True,
        "weights": weights(w),
        "valid": edges(1, 0, 0, 1),
    }
    y = run_layer("convolution", given, x)
    np.testing.assert_allclose(y, deconvolved(x, w, (2, 2), groups)[:, :, 1:, :-1], atol=1e-5)


@pytest.mark.parametrize(("mode", "first"), [(0, 0), (1, 1)])
def test_a_same_deconvolution_multiplies_height_and_width(mode: int, first: int) -> None:
    x, w = values(1, 1, 4, 4), values(1, 1, 3, 3, seed=1)
    y = run_layer(
        "convolution",
        parameters(w, stride=[2, 2], isDeconvolution=True, same={"asymmetryMode": mode}),
        x,
    )
    assert y.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(
        y, deconvolved(x, w, (2, 2))[:, :, first : first + 8, first : first + 8], atol=1e-5
    )


def test_an_output_shape_that_the_padding_does_not_give_is_refused() -> None:
    w = values(1, 1, 3, 3)
    given = parameters(w, isDeconvolution=True, stride=[2, 2], valid={}, outputShape=[8, 8])
    with pytest.raises(UnsupportedError, match="outputShape"):
        run_layer("convolution", given, values(1, 1, 4, 4))


def test_weights_from_the_network_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="computed by the network"):
        run_layer("convolution", {"valid": {}}, values(1, 1, 4, 4), values(1, 1, 3, 3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernelChannels": 3},
        {"nGroups": 2},
        {"kernelSize": [9, 9]},
        {"stride": [1]},
        {"outputChannels": 5},
    ],
)
def test_parameters_that_do_not_fit_the_input_are_refused(wrong: dict[str, Any]) -> None:
    given = parameters(values(3, 2, 3, 3), valid={}) | wrong
    with pytest.raises(BundleError, match="the_layer"):
        run_layer("convolution", given, values(1, 2, 5, 5))
