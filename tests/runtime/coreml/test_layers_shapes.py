"""Layers that move values: reshapes, joins, slices, padding and constants, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.errors import BundleError
from neural_network_layers import run_layer, values, weights

X = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
SEQUENCE = X[:, None]
"""Rank 5: sequence, batch, channels, height, width."""


def test_flatten_lets_the_channels_run_slowest_or_fastest() -> None:
    first = run_layer("flatten", {"mode": 0}, X)
    np.testing.assert_array_equal(first, X.reshape(2, 60, 1, 1))
    last = run_layer("flatten", {"mode": 1}, X)
    np.testing.assert_array_equal(last, X.transpose(0, 2, 3, 1).reshape(2, 60, 1, 1))


def test_reshape_reads_and_writes_in_the_order_of_its_mode() -> None:
    first = run_layer("reshape", {"targetShape": [6, 5, 2]}, SEQUENCE)
    np.testing.assert_array_equal(first, SEQUENCE.reshape(2, 1, 6, 5, 2))
    last = run_layer("reshape", {"targetShape": [6, 5, 2], "mode": 1}, SEQUENCE)
    rows = SEQUENCE.transpose(0, 1, 3, 4, 2).reshape(2, 1, 5, 2, 6)
    np.testing.assert_array_equal(last, rows.transpose(0, 1, 4, 2, 3))
    sequence = run_layer("reshape", {"targetShape": [4, 3, 10, 1]}, SEQUENCE)
    np.testing.assert_array_equal(sequence, SEQUENCE.reshape(4, 1, 3, 10, 1))


@pytest.mark.parametrize(
    ("axis", "order"),
    # The examples of the specification.
    [([0, 3, 1, 2], [0, 1, 4, 2, 3]), ([3, 1, 2, 0], [4, 1, 2, 3, 0]), ([], [0, 1, 2, 3, 4])],
)
def test_permute_leaves_the_batch_in_its_place(axis: list[int], order: list[int]) -> None:
    found = run_layer("permute", {"axis": axis}, SEQUENCE)
    np.testing.assert_array_equal(found, SEQUENCE.transpose(order))


SPREAD = np.arange(1, 17, dtype=np.float32).reshape(8, 1, 2)
DEPTH_TO_SPACE = [
    [[1, 5, 2, 6], [9, 13, 10, 14]],
    [[3, 7, 4, 8], [11, 15, 12, 16]],
]
PIXEL_SHUFFLE = [
    [[1, 3, 2, 4], [5, 7, 6, 8]],
    [[9, 11, 10, 12], [13, 15, 14, 16]],
]


def test_data_is_reorganized_as_in_the_examples_of_the_specification() -> None:
    deep = run_layer("reorganizeData", {"mode": 1, "blockSize": 2}, SPREAD)
    np.testing.assert_array_equal(deep, DEPTH_TO_SPACE)
    shuffled = run_layer("reorganizeData", {"mode": 2, "blockSize": 2}, SPREAD)
    np.testing.assert_array_equal(shuffled, PIXEL_SHUFFLE)
    back = run_layer("reorganizeData", {"mode": 0, "blockSize": 2}, DEPTH_TO_SPACE)
    np.testing.assert_array_equal(back, SPREAD)


RESHAPES: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("reshapeStatic", {"targetShape": [5, -1]}, (2, 3, 4, 5), (5, 24)),
    ("rankPreservingReshape", {"targetShape": [25, 0, -1]}, (10, 3, 5), (25, 3, 2)),
    ("squeeze", {"axes": [0, 3]}, (1, 10, 5, 1), (10, 5)),
    ("squeeze", {"axes": [-2, -1]}, (10, 5, 1, 1), (10, 5)),
    ("squeeze", {"axes": [0]}, (1,), (1,)),
    ("squeeze", {"squeezeAll": True}, (1, 3, 1, 2), (3, 2)),
    ("expandDims", {"axes": [0, 2]}, (10, 5), (1, 10, 1, 5)),
    ("expandDims", {"axes": [-2, -1]}, (10, 5), (10, 5, 1, 1)),
    ("flattenTo2D", {"axis": -1}, (3,), (1, 3)),
    ("flattenTo2D", {"axis": 1}, (3,), (3, 1)),
    ("flattenTo2D", {"axis": 0}, (5, 2), (1, 10)),
    ("flattenTo2D", {"axis": -2}, (5, 5, 3), (5, 15)),
]


@pytest.mark.parametrize(("kind", "parameters", "shape", "result"), RESHAPES)
def test_a_reshape_keeps_the_order_of_the_values(
    kind: str, parameters: dict[str, Any], shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    x = values(*shape)
    np.testing.assert_array_equal(run_layer(kind, parameters, x), x.reshape(result))


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("reshapeStatic", {"targetShape": [7, -1]}),
        ("reshapeStatic", {"targetShape": [-1, -1]}),
        ("reshapeStatic", {"targetShape": [0, -1]}),
        ("squeeze", {"axes": [1]}),
        ("squeeze", {"axes": [9]}),
        ("transpose", {"axes": [0, 0, 1, 2]}),
        ("expandDims", {"axes": [2**40]}),
        ("rankPreservingReshape", {"targetShape": [120]}),
    ],
)
def test_a_shape_that_cannot_be_is_refused(kind: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        run_layer(kind, parameters, X)


def test_transpose() -> None:
    found = run_layer("transpose", {"axes": [3, 1, 2, 0]}, X)
    np.testing.assert_array_equal(found, X.transpose(3, 1, 2, 0))


def test_joining() -> None:
    other = X + 1000
    np.testing.assert_array_equal(run_layer("concat", {}, X, other), np.concatenate([X, other], 1))
    sequence = run_layer("concat", {"sequenceConcat": True}, SEQUENCE, SEQUENCE)
    np.testing.assert_array_equal(sequence, np.concatenate([SEQUENCE, SEQUENCE], 0))
    last = run_layer("concatND", {"axis": -1}, X, other[..., :2])
    np.testing.assert_array_equal(last, np.concatenate([X, other[..., :2]], -1))
    stacked = run_layer("stack", {"axis": -2}, X, other)
    np.testing.assert_array_equal(stacked, np.stack([X, other], -2))
    with pytest.raises(BundleError, match="inputs of shapes"):
        run_layer("concatND", {"axis": 0}, X, X[:, :2])


def test_interleaved_inputs_take_turns_as_in_the_example_of_the_specification() -> None:
    first, second = [[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]
    found = run_layer("concatND", {"axis": 0, "interleave": True}, first, second)
    np.testing.assert_array_equal(found, [[1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]])


def test_splitting() -> None:
    for part, expected in zip(
        run_layer("split", {"nOutputs": 3}, X, outputs=3), np.split(X, 3, 1), strict=True
    ):
        np.testing.assert_array_equal(part, expected)
    parts = run_layer("splitND", {"axis": -1, "splitSizes": [1, 4]}, X, outputs=2)
    np.testing.assert_array_equal(parts[0], X[..., :1])
    np.testing.assert_array_equal(parts[1], X[..., 1:])
    halves = run_layer("splitND", {"axis": 2, "numSplits": 2}, X, outputs=2)
    np.testing.assert_array_equal(halves[1], X[:, :, 2:])
    with pytest.raises(BundleError, match="5 values in 2 parts"):
        run_layer("splitND", {"axis": 3, "numSplits": 2}, X, outputs=2)


@pytest.mark.parametrize("axis", range(3))
def test_a_slice_of_one_axis(axis: int) -> None:
    found = run_layer("slice", {"startIndex": 1, "endIndex": -1, "stride": 2, "axis": axis}, X)
    parts = [slice(None)] * 4
    parts[axis + 1] = slice(1, -1, 2)
    np.testing.assert_array_equal(found, X[tuple(parts)])


CUBE = np.arange(125, dtype=np.float32).reshape(5, 5, 5)
EXAMPLE = {
    "beginIds": [1, 2, 3],
    "beginMasks": [True, False, True],
    "endIds": [3, -3, 2],
    "endMasks": [False, True, True],
    "strides": [2, 2, 2],
}


def test_static_slices_are_those_of_the_examples_of_the_specification() -> None:
    plain = EXAMPLE | {"squeezeMasks": [False, False, False]}
    np.testing.assert_array_equal(run_layer("sliceStatic", plain, CUBE), CUBE[:3:2, 2::2, ::2])
    squeezed = EXAMPLE | {"squeezeMasks": [False, True, False]}
    np.testing.assert_array_equal(run_layer("sliceStatic", squeezed, CUBE), CUBE[:3:2, 2, ::2])


def test_static_slices_run_backwards_too() -> None:
    masks = {"beginMasks": [False] * 3, "endMasks": [False, True, False]}
    given = {"beginIds": [4, 3, 0], "endIds": [1, 0, 5], "strides": [-1, -2, 1], **masks}
    np.testing.assert_array_equal(run_layer("sliceStatic", given, CUBE), CUBE[4:1:-1, 3::-2])
    flipped = run_layer("reverse", {"reverseDim": [True, False, True]}, CUBE)
    np.testing.assert_array_equal(flipped, CUBE[::-1, :, ::-1])


def test_crops() -> None:
    amounts = [{"startEdgeSize": 1}, {"startEdgeSize": 2, "endEdgeSize": 1}]
    found = run_layer("crop", {"cropAmounts": {"borderAmounts": amounts}}, X)
    np.testing.assert_array_equal(found, X[:, :, 1:, 2:4])
    reference = np.zeros((2, 3, 2, 3))
    found = run_layer("crop", {"offset": [2, 1]}, X, reference)
    np.testing.assert_array_equal(found, X[:, :, 2:4, 1:4])
    with pytest.raises(BundleError, match="crops beyond"):
        run_layer("crop", {"offset": [3, 1]}, X, reference)


def test_gather_takes_the_values_at_indices_of_any_rank() -> None:
    indices = [[0, 2], [-1, 1]]
    found = run_layer("gather", {"axis": 1}, X, indices)
    np.testing.assert_array_equal(found, X[:, np.array(indices)])


@pytest.mark.parametrize("mode", [0, 1, 5])
def test_scatter_puts_values_at_indices(mode: int) -> None:
    indices, updates = np.array([3, 0]), values(2, 3, 2, 5)
    found = run_layer("scatter", {"axis": 2, "mode": mode}, X, indices, updates)
    expected = X.copy()
    for n, index in enumerate(indices):
        old, new = expected[:, :, index], updates[:, :, n]
        expected[:, :, index] = {0: new, 1: old + new, 5: np.maximum(old, new)}[mode]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("mode", "name"), [(2, "SCATTER_SUB"), (4, "SCATTER_DIV")])
def test_a_subtracting_or_dividing_scatter_is_refused(mode: int, name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        run_layer("scatter", {"axis": 0, "mode": mode}, [1.0], [0], [2.0])


IMAGE = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4)
PADDED: dict[str, list[list[int]]] = {
    "constant": [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 2, 3, 4],
        [0, 0, 5, 6, 7, 8],
        [0, 0, 9, 10, 11, 12],
    ],
    "reflection": [
        [11, 10, 9, 10, 11, 12],
        [7, 6, 5, 6, 7, 8],
        [3, 2, 1, 2, 3, 4],
        [7, 6, 5, 6, 7, 8],
        [11, 10, 9, 10, 11, 12],
    ],
    "replication": [
        [1, 1, 1, 2, 3, 4],
        [1, 1, 1, 2, 3, 4],
        [1, 1, 1, 2, 3, 4],
        [5, 5, 5, 6, 7, 8],
        [9, 9, 9, 10, 11, 12],
    ],
}


@pytest.mark.parametrize("kind", PADDED)
def test_padding_is_that_of_the_examples_of_the_specification(kind: str) -> None:
    amounts = {"borderAmounts": [{"startEdgeSize": 2}, {"startEdgeSize": 2}]}
    found = run_layer("padding", {kind: {}, "paddingAmounts": amounts}, IMAGE)
    np.testing.assert_array_equal(found, [PADDED[kind]])


def test_constant_padding_adds_amounts_or_fills_up_to_a_size() -> None:
    x = values(20, 10)
    found = run_layer("constantPad", {"value": 2.5, "padAmounts": [0, 1, 4, 0]}, x)
    np.testing.assert_array_equal(found, np.pad(x, ((0, 1), (4, 0)), constant_values=2.5))
    filled = {"padAmounts": [0, 21, 14, 0], "padToGivenOutputSizeMode": True}
    found = run_layer("constantPad", filled, x)
    np.testing.assert_array_equal(found, np.pad(x, ((0, 1), (4, 0))))


def test_constants_and_repetitions() -> None:
    data = values(2, 3, 4)
    given = {"shape": [2, 3, 4], "data": weights(data)}
    np.testing.assert_array_equal(run_layer("loadConstant", given), data[None, None])
    np.testing.assert_array_equal(run_layer("loadConstantND", given), data)
    filled = run_layer("fillStatic", {"value": 1.5, "targetShape": [2, 3]})
    np.testing.assert_array_equal(filled, np.full((2, 3), 1.5))
    wide = run_layer("broadcastToStatic", {"targetShape": [2, 3, 4]}, data[:, :1])
    np.testing.assert_array_equal(wide, np.broadcast_to(data[:, :1], (2, 3, 4)))
    np.testing.assert_array_equal(run_layer("tile", {"reps": [2, 1]}, data), np.tile(data, (2, 1)))
    repeated = run_layer("sequenceRepeat", {"nRepetitions": 3}, SEQUENCE)
    np.testing.assert_array_equal(repeated, np.tile(SEQUENCE, (3, 1, 1, 1, 1)))


def test_an_absurd_size_is_refused_before_anything_is_made() -> None:
    with pytest.raises(BundleError, match="absurdly large"):
        run_layer("fillStatic", {"value": 1, "targetShape": [1 << 27, 1 << 27]})
