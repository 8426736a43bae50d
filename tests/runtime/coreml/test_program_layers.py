"""Counts of ML Programs, layer by layer, against sums by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.census import Layer
from mobilecv_runtime.coreml.program_layers import count_layers
from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.inspection import inspect
from mobilecv_runtime.precision import precision_faults
from runtime.coreml.mil_programs import ct, mb, program


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def layer(build: Callable[..., Any], *shapes: tuple[int, ...], folder: Path) -> Layer:
    """The last layer of a program."""
    return count_layers(program(build, shapes, folder).message).layers[-1]


PRODUCTS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], int, int]] = {
    "conv": (
        lambda x: mb.conv(x=x, weight=ones(8, 3, 5, 5), bias=ones(8)),
        [(1, 3, 12, 12)], 8 * 8 * 8 * 3 * 5 * 5, 8 * 75 + 8),
    "conv in groups": (
        lambda x: mb.conv(x=x, weight=ones(6, 1, 3, 3), groups=6, strides=[2, 2]),
        [(1, 6, 9, 9)], 6 * 4 * 4 * 9, 54),
    "conv_transpose": (
        lambda x: mb.conv_transpose(x=x, weight=ones(4, 5, 3, 3)),
        [(1, 4, 6, 6)], 4 * 6 * 6 * 5 * 9, 180),
    "linear": (
        lambda x: mb.linear(x=x, weight=ones(7, 10), bias=ones(7)), [(1, 4, 10)], 4 * 7 * 10, 77),
    "matmul": (lambda x: mb.matmul(x=x, y=ones(10, 7)), [(4, 10)], 4 * 7 * 10, 70),
    "matmul of two computed values": (
        lambda x, y: mb.matmul(x=x, y=y), [(2, 4, 10), (2, 10, 7)], 2 * 4 * 7 * 10, 0),
    "matmul transposed": (
        lambda x, y: mb.matmul(x=x, y=y, transpose_x=True, transpose_y=True),
        [(2, 10, 4), (2, 7, 10)], 2 * 4 * 7 * 10, 0),
    "a sum": (lambda x: mb.add(x=x, y=ones(10)), [(4, 10)], 0, 10),
    "a scaled value": (lambda x: mb.mul(x=x, y=np.float32(3)), [(4, 10)], 0, 1),
    "settings": (lambda x: mb.clip(x=x, alpha=np.float32(0), beta=np.float32(6)), [(4, 10)], 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_and_parameters_are_counted(kind: str, tmp_path: Path) -> None:
    build, shapes, products, parameters = PRODUCTS[kind]
    found = layer(build, *shapes, folder=tmp_path)
    assert (found.multiply_adds, found.parameters) == (products, parameters)
    assert found.arithmetic == "float32"


def test_what_may_multiply_and_is_not_understood_is_named(tmp_path: Path) -> None:
    def build(x: Any, y: Any) -> Any:
        return mb.einsum(values=(x, y), equation="abcd,adce->abce")

    census = count_layers(program(build, [(1, 2, 3, 4), (1, 4, 3, 5)], tmp_path).message)
    assert census.uncounted == {"einsum": 1}


def test_the_peak_counts_what_is_still_needed(tmp_path: Path) -> None:
    """A shortcut: x is 400 bytes, as are both branches and the sum."""

    def build(x: Any) -> Any:
        once = mb.relu(x=x)
        return mb.add(x=once, y=mb.sigmoid(x=once))

    census = count_layers(program(build, [(10, 10)], tmp_path).message)
    assert [each.output_bytes for each in census.layers] == [400, 400, 400]
    assert census.peak_activation_bytes == 3 * 400


STORED = {
    "int8 per-channel": lambda data: mb.constexpr_affine_dequantize(
        quantized_data=data, zero_point=np.int8(0), scale=ones(16), axis=np.int32(0)),
    "int8 per-tensor": lambda data: mb.constexpr_affine_dequantize(
        quantized_data=data, zero_point=np.int8(0), scale=np.float32(1), axis=np.int32(0)),
    "lut to dense": lambda _: mb.constexpr_lut_to_dense(
        indices=np.zeros(16 * 8 // 2, np.uint8), lut=ones(16), shape=np.uint32([16, 8])),
}  # fmt: skip


@pytest.mark.parametrize("storage", STORED)
def test_weights_are_called_by_how_they_are_stored(storage: str, tmp_path: Path) -> None:
    data = np.arange(128, dtype=np.int8).reshape(16, 8)
    found = layer(lambda x0: mb.linear(x=x0, weight=STORED[storage](data)), (1, 8), folder=tmp_path)
    assert (found.weights, found.arithmetic) == (storage, "float32")
    assert found.parameters == 16 * 8 + 16  # coremltools adds a bias of zeros.


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_blocks_of_ios_18_are_named(dtype: str, tmp_path: Path) -> None:
    kind = ct.converters.mil.mil.types.string_to_builtin(dtype)
    number = ct.converters.mil.mil.types.nptype_from_builtin(kind)
    data, scale = np.zeros((16, 8), number), ones(16, 2)

    def build(x0: Any) -> Any:
        weight = mb.constexpr_blockwise_shift_scale(data=data, scale=scale)
        return mb.linear(x=x0, weight=weight)

    made = program(build, [(1, 8)], tmp_path, target=ct.target.iOS18)
    assert count_layers(made.message).layers[-1].weights == f"{dtype} per-block"


def test_a_file_of_int8_weights_without_any_is_accused(exported: Path) -> None:
    faults = precision_faults(exported / "digits.mlpackage", "int8-weights")
    assert faults == (
        "its weights are stored as float16, none of them as int8; export the model again",
    )
    assert precision_faults(exported / "digits-int8.mlpackage", "int8-weights") == ()


def test_a_package_with_wrong_bytes_is_refused_in_one_line_if_at_all(
    exported: Path, tmp_path: Path
) -> None:
    package = shutil.copytree(exported / "digits-int8.mlpackage", tmp_path / "a.mlpackage")
    path = package / "Data/com.apple.CoreML/model.mlmodel"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(100):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 8)] = random.integers(0, 256, 8)
        path.write_bytes(data.tobytes())
        for look in (inspect, lambda file: precision_faults(file, "int8-weights")):
            try:
                look(package)
            except BundleError as error:
                refused.append(str(error))
    assert refused
    assert all(line.startswith(str(package)) for line in refused)
