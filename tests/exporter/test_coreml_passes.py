"""Hard sigmoids reach Core ML as one operation, and nothing else does that is not one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv.targets.coreml_passes import use_equal_ranks, use_hard_sigmoids
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.inspection import inspect
from runtime.coreml.mil_programs import lowered, mb, program
from tests_shared import run_cli

SHAPE = (1, 4, 5)
SIXTH = np.float32(1 / 6)
FLOAT16_STEP = 2**-11
"""The distance between two values of float16 below 1; rounding is off by half of it."""


def relu6(x: Any, shift: float = 3.0) -> Any:
    return mb.relu6(x=mb.add(x=x, y=np.float32(shift)))


def clip(x: Any, low: float = 0.0, high: float = 6.0) -> Any:
    return mb.clip(x=mb.add(x=np.float32(3), y=x), alpha=np.float32(low), beta=np.float32(high))


HARD = {
    "relu6": lambda x: mb.mul(x=relu6(x), y=SIXTH),
    "clip": lambda x: mb.mul(x=SIXTH, y=clip(x)),
}
HARD_SWISH = {
    "scaled before": lambda x: mb.mul(x=x, y=mb.mul(x=relu6(x), y=SIXTH)),
    "scaled after": lambda x: mb.mul(x=mb.mul(x=x, y=relu6(x)), y=SIXTH),
    "x scaled": lambda x: mb.mul(x=relu6(x), y=mb.mul(x=x, y=SIXTH)),
}
OTHERS = {
    "another factor": lambda x: mb.mul(x=relu6(x), y=np.nextafter(SIXTH, np.float32(1))),
    "the factor of float16": lambda x: mb.mul(x=relu6(x), y=np.float32(np.float16(SIXTH))),
    "another shift": lambda x: mb.mul(x=relu6(x, 3.1), y=SIXTH),
    "another top": lambda x: mb.mul(x=clip(x, high=5.0), y=SIXTH),
    "another bottom": lambda x: mb.mul(x=clip(x, low=-1.0), y=SIXTH),
    "no shift": lambda x: mb.mul(x=mb.relu6(x=x), y=SIXTH),
    "no top": lambda x: mb.mul(x=mb.relu(x=mb.add(x=x, y=np.float32(3))), y=SIXTH),
    "a factor per column": lambda x: mb.mul(x=relu6(x), y=np.full(5, SIXTH)),
}


def rewritten(build: Callable[[Any], Any]) -> tuple[Counter[str], np.ndarray, np.ndarray]:
    """The operations that a result needs after the pass, and its values before and after."""
    x = np.linspace(-8, 8, np.prod(SHAPE)).astype(np.float32).reshape(SHAPE)
    made = mb.program(input_specs=[mb.TensorSpec(shape=SHAPE)])(build)
    block = made.functions["main"]
    before = evaluated(block.outputs[0], x)
    use_hard_sigmoids(block)
    return operations(block.outputs[0]), before, evaluated(block.outputs[0], x)


def operations(value: Any) -> Counter[str]:
    if value.op is None or value.op.op_type == "const":
        return Counter()
    found = Counter([value.op.op_type])
    for operand in value.op.inputs.values():
        found += operations(operand)
    return found


def evaluated(value: Any, x: np.ndarray) -> np.ndarray:
    if value.val is not None:
        return np.asarray(value.val)
    if value.op is None:
        return x
    given = {name: evaluated(each, x) for name, each in value.op.inputs.items()}
    match value.op.op_type:
        case "add":
            return given["x"] + given["y"]
        case "mul":
            return given["x"] * given["y"]
        case "relu":
            return np.maximum(given["x"], 0)
        case "relu6":
            return np.clip(given["x"], 0, 6)
        case "clip":
            return np.clip(given["x"], given["alpha"], given["beta"])
        case "sigmoid_hard":
            return np.clip(given["alpha"] * given["x"] + given["beta"], 0, 1)
    raise NotImplementedError(value.op.op_type)


@pytest.mark.parametrize("form", HARD)
def test_a_hard_sigmoid_becomes_one_operation(form: str) -> None:
    left, before, after = rewritten(HARD[form])
    assert left == {"sigmoid_hard": 1}
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-7)


@pytest.mark.parametrize("form", HARD_SWISH)
def test_a_hard_swish_becomes_two(form: str) -> None:
    left, before, after = rewritten(HARD_SWISH[form])
    assert left == {"sigmoid_hard": 1, "mul": 1}
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "of_rank"),
    [((5,), 3), ((4, 5), 3), ((1, 4, 5), 3), ((), 0), ((2, 1, 4, 5), 4)],
)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("is_constant", [True, False])
def test_a_side_of_few_axes_gets_as_many_as_the_other(
    shape: tuple[int, ...], of_rank: int, swapped: bool, is_constant: bool
) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1

    def build(x: Any) -> Any:
        side: Any = values if is_constant else mb.exp(x=mb.reduce_sum(x=x, keep_dims=False))
        if not is_constant:
            side = mb.mul(x=values, y=side) if shape else side
        return mb.sub(x=side, y=x) if swapped else mb.sub(x=x, y=side)

    made = mb.program(input_specs=[mb.TensorSpec(shape=SHAPE)])(build)
    block = made.functions["main"]
    name, before = block.outputs[0].name, tuple(block.outputs[0].shape)
    use_equal_ranks(block)
    result = block.outputs[0]
    assert (result.name, tuple(result.shape)) == (name, before)
    side = result.op.x if swapped else result.op.y
    assert side.rank == of_rank
    if is_constant:
        np.testing.assert_array_equal(np.ravel(side.val), np.ravel(values))


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_not_quite_a_hard_sigmoid_stays(form: str) -> None:
    left, before, after = rewritten(OTHERS[form])
    assert "sigmoid_hard" not in left
    np.testing.assert_array_equal(after, before)


def test_float16_saturates_exactly_and_is_right_within_its_own_rounding(tmp_path: Path) -> None:
    x = np.linspace(-8, 8, 4097).astype(np.float16).reshape(1, -1)

    def build(x: Any) -> Any:
        return mb.sigmoid_hard(x=x, alpha=np.float16(SIXTH), beta=np.float16(0.5))

    made = program(build, [x.shape], tmp_path, dtype="float16")
    (found,) = lowered(made, {"x0": x}, "device-estimate").values()
    exact = np.clip(x.astype(np.float64) / 6 + 0.5, 0, 1)
    assert (found[x >= 3.01] == 1).all()
    assert (found[x <= -3.01] == 0).all()
    # Half a step of the result's own rounding, and a quarter of that of 1/6.
    assert np.abs(found - exact).max() <= 0.75 * FLOAT16_STEP + 1e-9


def test_hard_swish_of_keras_is_close_in_float16(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model("hard_swish")
    done = run_cli("export", model, "--to", "mlpackage", "--preset", "tf", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = (bundle := Bundle.open(tmp_path / "hard_swish-mobilecv")).manifest.artifacts
    found = inspect(bundle.file(entry)).operations
    assert found["sigmoid_hard"] == 9
    assert not found.keys() & {"relu6", "clip", "real_div"}
    assert entry.parity["max_difference"] < 1e-4
