"""Kernels of ML Programs in 8 bits: exact values, the right axis, and nothing else changed."""

from __future__ import annotations

import gc
import shutil
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv.targets.coreml_int8 import SMALLEST, quantise_kernels, to_int8
from mobilecv_runtime import Bundle
from mobilecv_runtime.coreml.mil.values import Constants
from mobilecv_runtime.coreml.model import (
    open_specification,
    program_operations,
    specification_file,
)
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import ConversionError
from mobilecv_runtime.inspection import inspect
from runtime.coreml.mil_programs import Program, ct, lowered, mb, program
from tests_shared import Cli, run_cli

with redirect_stderr(sys.stdout):
    import coremltools.optimize.coreml as compression

EXPANSION = "constexpr_affine_dequantize"
FLOAT16_STEP = 2.0**-10
"""The largest relative step between two float16 numbers."""


def seeded(*shape: int, largest: float = 1.0) -> np.ndarray:
    """Float16 weights whose first axis has channels of very different magnitude."""
    random = np.random.default_rng(sum(shape))
    magnitudes = largest * np.logspace(-2, 0, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return (random.uniform(-1, 1, shape) * magnitudes).astype(np.float16)


def half_steps(scales: np.ndarray, kernel: np.ndarray, axis: int) -> np.ndarray:
    along = [-1 if place == axis else 1 for place in range(kernel.ndim)]
    return scales.astype(np.float64).reshape(along) / 2


@pytest.mark.parametrize("axis", [0, 1, 3])
@pytest.mark.parametrize("largest", [1.0, 1e-3, 3e-6, 6e4])
def test_every_weight_is_within_half_a_step(largest: float, axis: int) -> None:
    kernel = np.moveaxis(seeded(24, 5, 3, 7, largest=largest), 0, axis)
    levels, scales = to_int8(kernel, axis)
    half = half_steps(scales, kernel, axis)
    error = np.abs(levels * half * 2 - kernel.astype(np.float64))
    assert (error <= half * (1 + 1e-6)).all()
    assert levels.shape == kernel.shape
    assert scales.shape == (kernel.shape[axis],)
    assert (levels.dtype, scales.dtype) == (np.int8, np.float16)


def test_each_channel_uses_the_whole_range_and_no_level_beyond_it() -> None:
    levels, scales = to_int8(seeded(64, 9, 3), 0)
    assert levels.min() >= -127
    assert (np.abs(levels.astype(int)).max(axis=(1, 2)) == 127).all()
    # A scale is rounded up by less than one step of float16.
    exact = np.abs(seeded(64, 9, 3)).max(axis=(1, 2)).astype(np.float64) / 127
    assert (scales >= exact).all()
    assert (scales <= exact * (1 + FLOAT16_STEP)).all()


def test_an_empty_channel_stays_empty() -> None:
    kernel = seeded(4, 8)
    kernel[2] = 0
    levels, scales = to_int8(kernel, 0)
    assert not levels[2].any()
    assert (scales > 0).all()


def made(build: Callable[..., Any], shape: tuple[int, ...], folder: Path) -> Program:
    """A float16 program for iOS 15, as an export makes it."""
    return program(build, [shape], folder, dtype="float16", target=ct.target.iOS15)


def quantised(source: Program, folder: Path) -> Program:
    weights = folder / "int8"
    weights.mkdir()
    spec = type(source.spec)()
    spec.CopyFrom(source.spec)
    quantise_kernels(spec, source.weights / "weight.bin", weights / "weight.bin")
    return Program(spec=spec, weights=weights, inputs=source.inputs)


def operations(source: Program) -> list[Message]:
    return program_operations(source.message.message("mlProgram"))


def types(source: Program) -> list[str]:
    return [kind for each in operations(source) if (kind := each.text("type")) != "const"]


def expansions(found: list[Message], weights: Path) -> list[dict[str, np.ndarray]]:
    """The parameters of every kernel that is stored in 8 bits."""
    read = Constants(weights).read
    return [
        {
            name: read(value, name).array
            for name, value in each.entries("attributes")
            if name != "name"
        }
        for each in found
        if each.text("type") == EXPANSION
    ]


KERNEL = seeded(48, 32)
USES: dict[str, tuple[Callable[[Any], Any], int, tuple[int, ...]]] = {
    "conv": (lambda x: mb.conv(x=x, weight=seeded(48, 4, 3, 3)), 0, (1, 4, 6, 6)),
    "conv in groups": (
        lambda x: mb.conv(x=x, weight=seeded(64, 1, 3, 3), groups=64), 0, (1, 64, 6, 6)),
    "linear": (lambda x: mb.linear(x=x, weight=KERNEL), 0, (1, 32)),
    "linear on a sequence": (lambda x: mb.linear(x=x, weight=KERNEL), 0, (1, 5, 32)),
    "matmul": (lambda x: mb.matmul(x=x, y=np.ascontiguousarray(KERNEL.T)), 1, (1, 32)),
    "matmul transposed": (lambda x: mb.matmul(x=x, y=KERNEL, transpose_y=True), 0, (1, 32)),
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_every_kernel_has_its_scales_along_the_output_channels(use: str, tmp_path: Path) -> None:
    build, axis, shape = USES[use]
    before = made(build, shape, tmp_path)
    after = quantised(before, tmp_path)
    (kernel,) = expansions(operations(after), after.weights)
    assert kernel["axis"] == axis
    assert kernel["quantized_data"].dtype == kernel["zero_point"].dtype == np.int8
    assert not kernel["zero_point"].any()
    x = {"x0": np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float16)}
    (exact,) = lowered(before, x, "stored").values()
    (found,) = lowered(after, x, "stored").values()
    # A result is wrong by at most half a step for each weight. With scales along the other axis
    # the faint channels would be wrong by a hundred times that.
    terms = kernel["quantized_data"].size / kernel["scale"].size
    channels = kernel["scale"].size
    outermost = 1 if use.startswith("conv") else -1
    largest = np.abs(np.moveaxis(found - exact, outermost, 0).reshape(channels, -1)).max(axis=1)
    assert (largest <= kernel["scale"].astype(float) / 2 * terms * 1.1).all()
    assert largest.max() > 0


def test_names_and_all_other_operations_stay(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        x = mb.conv(x=x, weight=seeded(48, 4, 3, 3), bias=seeded(48), name="first")
        return mb.relu(x=x, name="second")

    before = made(build, (1, 4, 6, 6), tmp_path)
    after = quantised(before, tmp_path)
    assert [kind for kind in types(after) if kind != EXPANSION] == types(before)
    assert types(after).count(EXPANSION) == 1
    named = [
        {output.text("name") for each in operations(one) for output in each.messages("outputs")}
        for one in (before, after)
    ]
    assert named[0] == named[1]
    assert after.spec.specificationVersion == 7
    assert after.spec.mlProgram.functions["main"].opset == "CoreML6"
    assert after.spec.description == before.spec.description


def test_what_is_no_kernel_keeps_its_values(tmp_path: Path) -> None:
    table, bias = seeded(1, 40, 32), seeded(48)

    def build(x: Any) -> Any:
        return mb.linear(x=mb.add(x=x, y=table), weight=KERNEL, bias=bias)

    before = made(build, (1, 40, 32), tmp_path)
    after = quantised(before, tmp_path)
    assert types(after).count(EXPANSION) == 1
    read = Constants(after.weights).read
    stored = [
        read(value, name).array
        for each in operations(after)
        if each.text("type") == "const"
        for name, value in each.entries("attributes")
        if name == "val"
    ]
    for kept in (table, bias):
        assert any(np.array_equal(kept, each) for each in stored)
    assert not any(each.shape == KERNEL.shape for each in stored)


def test_a_kernel_whose_output_channels_lie_on_two_axes_stays_in_float16(tmp_path: Path) -> None:
    square = seeded(32, 32)

    def build(x: Any) -> Any:
        shared = mb.const(val=square)
        x = mb.linear(x=x, weight=seeded(32, 32, largest=2))
        return mb.matmul(x=mb.matmul(x=x, y=shared), y=shared, transpose_y=True)

    after = quantised(made(build, (1, 32), tmp_path), tmp_path)
    assert types(after).count(EXPANSION) == 1


def test_small_kernels_stay_in_float16_beside_a_large_one(tmp_path: Path) -> None:
    small, large = seeded(16, SMALLEST // 16 - 1), seeded(SMALLEST // 16, 16)

    def build(x: Any) -> Any:
        return mb.linear(x=mb.linear(x=x, weight=small), weight=large)

    after = quantised(made(build, (1, small.shape[1]), tmp_path), tmp_path)
    (kernel,) = expansions(operations(after), after.weights)
    assert kernel["quantized_data"].shape == large.shape


def test_of_small_kernels_alone_the_largest_is_stored_in_8_bits(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return mb.linear(x=mb.linear(x=x, weight=seeded(12, 8)), weight=seeded(4, 12))

    after = quantised(made(build, (1, 8), tmp_path), tmp_path)
    (kernel,) = expansions(operations(after), after.weights)
    assert kernel["quantized_data"].shape == (12, 8)


def test_a_gather_says_what_was_understood_before_ios_16(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        x = mb.gather(x=x, indices=np.int32([2, 0]), axis=1)
        return mb.linear(x=x, weight=KERNEL)

    before = made(build, (1, 4, 32), tmp_path)
    after = quantised(before, tmp_path)
    (gather,) = (each for each in operations(after) if each.text("type") == "gather")
    (binding,) = dict(gather.entries("inputs"))["batch_dims"].messages("arguments")
    assert Constants(after.weights).read(binding.message("value"), "batch_dims").array == 0
    x = {"x0": np.random.default_rng(1).uniform(-1, 1, (1, 4, 32)).astype(np.float16)}
    (exact,) = lowered(before, x, "stored").values()
    (found,) = lowered(after, x, "stored").values()
    np.testing.assert_allclose(found, exact, atol=0.05)


NOTHING_TO_STORE: dict[str, Callable[[Any], Any]] = {
    "no kernel": lambda x: mb.add(x=x, y=seeded(1, 32)),
    "a kernel with an infinite weight": lambda x: mb.linear(
        x=x, weight=np.where(np.eye(48, 32) == 1, np.float16(np.inf), KERNEL)
    ),
}


@pytest.mark.parametrize("network", NOTHING_TO_STORE)
def test_a_network_without_finite_kernels_is_refused(network: str, tmp_path: Path) -> None:
    before = made(NOTHING_TO_STORE[network], (1, 32), tmp_path)
    with pytest.raises(ConversionError, match="8 bits could hold; use mlpackage"):
        quantised(before, tmp_path)


def test_large_kernels_take_half_the_place(tmp_path: Path) -> None:
    before = made(lambda x: mb.conv(x=x, weight=seeded(64, 64, 3, 3)), (1, 64, 8, 8), tmp_path)
    after = quantised(before, tmp_path)
    sizes = [(each.weights / "weight.bin").stat().st_size for each in (before, after)]
    assert 64 * 64 * 9 < sizes[1] < 0.51 * sizes[0]


def read(package: Path) -> tuple[list[Message], Path]:
    found = program_operations(open_specification(package).message("mlProgram"))
    return found, specification_file(package).parent / "weights"


def test_coremltools_itself_stores_the_same_levels(exported: Path, tmp_path: Path) -> None:
    """By `linear_quantize_weights`, which takes kernels of more weights than its threshold."""
    config = compression.OptimizationConfig(
        global_config=compression.OpLinearQuantizerConfig(
            mode="linear_symmetric", weight_threshold=SMALLEST - 1
        )
    )
    theirs_file = tmp_path / "theirs.mlpackage"
    with warnings.catch_warnings():
        # coremltools leaves its temporary folders to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        model = ct.models.MLModel(str(exported / "digits.mlpackage"), skip_model_load=True)
        compressed = compression.linear_quantize_weights(model, config)
        compressed.save(str(theirs_file))
        del model, compressed
        gc.collect()
    ours_operations, ours_weights = read(exported / "digits-int8.mlpackage")
    theirs_operations, theirs_weights = read(theirs_file)
    kinds = [
        [kind for each in found if (kind := each.text("type")) != "const"]
        for found in (ours_operations, theirs_operations)
    ]
    assert sorted(kinds[0]) == sorted(kinds[1])
    ours = expansions(ours_operations, ours_weights)
    theirs = expansions(theirs_operations, theirs_weights)
    assert len(ours) == len(theirs) == 4
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        for name in mine:
            assert mine[name].dtype == other[name].dtype
            assert mine[name].shape == other[name].shape
        assert mine["axis"] == other["axis"]
        np.testing.assert_allclose(mine["scale"], other["scale"], rtol=FLOAT16_STEP)
        difference = mine["quantized_data"].astype(int) - other["quantized_data"]
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.05


def test_the_file_says_all_that_its_float16_twin_says(exported: Path) -> None:
    ours, twin = (
        inspect(exported / name) for name in ("digits-int8.mlpackage", "digits.mlpackage")
    )
    for field in ("inputs", "outputs", "labels", "contract", "metadata"):
        assert getattr(ours, field) == getattr(twin, field)
    assert "iOS 16" in ours.format
    bundle = Bundle.open(exported)
    entry = bundle.artifact("mlpackage-int8")
    assert (entry.precision, entry.minimum_runtime) == ("int8-weights", "iOS 16")
    (kernel, *_) = expansions(*read(bundle.file(entry)))
    assert np.abs(kernel["quantized_data"].astype(int)).max() == 127


def test_it_needs_no_photos_and_leaves_no_float_file(
    make_model: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    """A dense layer of 786,432 weights is nearly all of this network."""
    shutil.copy(make_model("wide"), tmp_path)
    done = cli("export", "wide.keras", "--to", "mlpackage-int8", "--preset", "tf")
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = Bundle.open(tmp_path / "wide-mobilecv")
    (entry,) = bundle.manifest.artifacts
    assert (entry.id, entry.file) == ("mlpackage-int8", "wide-int8.mlpackage")
    assert not (bundle.path / "wide.mlpackage").exists()
    weights = 16 * 16 * 3 * 1024
    assert weights < entry.bytes < 0.6 * 2 * weights
    verified = run_cli("verify", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout
    assert "mlpackage-int8 (fp16 estimate)" in verified.stdout
