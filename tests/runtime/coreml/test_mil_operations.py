"""Every operation of ML Programs is held against two oracles that know nothing of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.coreml.mil.operations import LOWERINGS
from runtime.coreml.mil_interpreter import OPERATIONS, interpret
from runtime.coreml.mil_programs import Build, ct, lowered, mb, program, types

Shape = tuple[int, ...]
IMAGE = (1, 4, 7, 9)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operation with parameters."""

    name: str
    build: Build
    shapes: Sequence[Shape] = (IMAGE,)
    positive: bool = False
    target: Any = None
    folded_wrongly: bool = False
    """coremltools 9 folds `concat` on constants as if it never interleaved."""


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def like(x: Any, *shape: int, seed: int = 1) -> np.ndarray:
    """Constants of the type of an input."""
    return numbers(*shape, seed=seed).astype(types.nptype_from_builtin(x.dtype))


def one(x: Any, number: float) -> Any:
    """A number of the type of an input."""
    return types.nptype_from_builtin(x.dtype)(number)


def unary(name: str, **options: Any) -> Case:
    return Case(name=name, build=lambda x: getattr(mb, name)(x=x), **options)


def binary(name: str, **options: Any) -> Case:
    shapes = options.pop("shapes", ((2, 3, 5), (3, 1)))
    build = lambda x, y: getattr(mb, name)(x=x, y=y)  # noqa: E731
    return Case(name=name, build=build, shapes=shapes, **options)


def compared(name: str, combine: str | None = None) -> Case:
    """A comparison, whose truth values select between numbers."""

    def build(x: Any, y: Any) -> Any:
        holds = getattr(mb, name)(x=x, y=y)
        if combine is not None:
            holds = getattr(mb, combine)(x=holds, y=mb.less(x=x, y=one(x, 0.2)))
        return mb.select(cond=holds, a=x, b=y)

    return Case(name=combine or name, build=build, shapes=((3, 4), (3, 4)))


def negated(x: Any) -> Any:
    holds = mb.logical_not(x=mb.greater(x=x, y=one(x, 0)))
    return mb.select(cond=holds, a=x, b=mb.mul(x=x, y=one(x, 3)))


ELEMENTWISE = [
    *map(unary, ["abs", "ceil", "cos", "erf", "exp", "floor", "identity", "round", "sign", "sin"]),
    *map(unary, ["square", "tanh"]),
    unary("sqrt", positive=True),
    *map(binary, ["add", "sub", "mul", "maximum", "minimum"]),
    Case(
        name="pow",
        build=lambda x, y: mb.pow(x=x, y=y),
        shapes=((2, 3, 5), (3, 1)),
        positive=True,
    ),
    Case(
        name="real_div",
        build=lambda x, y: mb.real_div(x=x, y=y),
        shapes=((2, 3, 5), (3, 1)),
        positive=True,
    ),
    *map(compared, ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal"]),
    *(compared("greater", name) for name in ("logical_and", "logical_or", "logical_xor")),
    Case(name="logical_not", build=negated),
    Case(
        name="select",
        build=lambda x, y: mb.select(cond=np.array([[True], [False]]), a=x, b=y),
        shapes=((2, 3), (2, 3)),
    ),
    Case(name="rsqrt", build=lambda x: mb.rsqrt(x=x, epsilon=one(x, 0.3)), positive=True),
    Case(name="inverse", build=lambda x: mb.inverse(x=x, epsilon=one(x, 0.5)), positive=True),
    Case(name="log", build=lambda x: mb.log(x=x, epsilon=one(x, 0.25)), positive=True),
    Case(name="clip", build=lambda x: mb.clip(x=x, alpha=one(x, -0.5), beta=one(x, 0.25))),
    Case(name="threshold", build=lambda x: mb.threshold(x=x, alpha=one(x, 0.25))),
    Case(
        name="cast",
        build=lambda x: mb.cast(x=mb.cast(x=mb.mul(x=x, y=one(x, 3)), dtype="int32"), dtype="fp32"),
    ),
    Case(
        name="cast",
        build=lambda x: mb.cast(x=mb.cast(x=mb.floor(x=x), dtype="bool"), dtype="fp32"),
    ),
]

ACTIVATIONS = [
    *map(unary, ["relu", "relu6", "sigmoid", "silu", "softplus", "softsign", "softmax"]),
    Case(name="relu6", build=lambda x: mb.relu6(x=mb.mul(x=x, y=one(x, 8)))),
    Case(name="softmax", build=lambda x: mb.softmax(x=x, axis=1)),
    Case(name="elu", build=lambda x: mb.elu(x=x, alpha=one(x, 0.5))),
    Case(name="leaky_relu", build=lambda x: mb.leaky_relu(x=x, alpha=one(x, 0.125))),
    Case(name="prelu", build=lambda x: mb.prelu(x=x, alpha=like(x, 4))),
    *(
        Case(
            name=name,
            build=lambda x, name=name: getattr(mb, name)(x=x, alpha=one(x, 0.5), beta=one(x, 0.25)),
        )
        for name in ("clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard")
    ),
    *(
        Case(name="gelu", build=lambda x, mode=mode: mb.gelu(x=x, mode=mode))
        for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    ),
    Case(name="thresholded_relu", build=lambda x: mb.thresholded_relu(x=x, alpha=one(x, 0.25))),
    # At the threshold itself x stays, unlike in ONNX.
    Case(
        name="thresholded_relu",
        build=lambda x: mb.thresholded_relu(x=mb.round(x=x), alpha=one(x, 1.0)),
    ),
]


def convolution(name: str = "conv", weight: Shape = (6, 4, 3, 2), **options: Any) -> Case:
    shape = options.pop("shape", IMAGE)
    with_bias = options.pop("with_bias", True)

    def build(x: Any) -> Any:
        bias = {"bias": like(x, weight[0], seed=2)} if with_bias else {}
        return mb.conv(x=x, weight=like(x, *weight), **bias, **options)

    return Case(name=name, build=build, shapes=(shape,))


CONVOLUTIONS = [
    convolution(pad_type="valid"),
    convolution(pad_type="valid", with_bias=False),
    convolution(pad_type="valid", strides=[2, 3]),
    convolution(pad_type="same", strides=[2, 2]),
    convolution(pad_type="same_lower", strides=[2, 2]),
    convolution(pad_type="same", weight=(6, 4, 4, 4)),
    convolution(pad_type="same_lower", weight=(6, 4, 4, 4)),
    convolution(pad_type="custom", pad=[1, 2, 0, 3]),
    convolution(pad_type="same", dilations=[2, 3]),
    convolution(pad_type="valid", weight=(6, 2, 3, 3), groups=2),
    convolution(pad_type="same", weight=(8, 1, 3, 3), groups=4, strides=[2, 1]),
    convolution(pad_type="same", weight=(6, 4, 3), shape=(2, 4, 9)),
    convolution(pad_type="custom", weight=(3, 4, 2, 2, 2), shape=(1, 4, 3, 4, 5), pad=[1] * 6),
]


def deconvolution(weight: Shape = (4, 6, 3, 2), shape: Shape = IMAGE, **options: Any) -> Case:
    def build(x: Any) -> Any:
        results = weight[1] * options.get("groups", 1)
        bias = like(x, results, seed=2)
        return mb.conv_transpose(x=x, weight=like(x, *weight), bias=bias, **options)

    return Case(name="conv_transpose", build=build, shapes=(shape,))


DECONVOLUTIONS = [
    Case(
        name="conv_transpose",
        build=lambda x: mb.conv_transpose(x=x, weight=like(x, 4, 6, 3, 2)),
        shapes=(IMAGE,),
    ),
    deconvolution(pad_type="valid", strides=[2, 3]),
    deconvolution(pad_type="same", strides=[2, 2]),
    deconvolution(pad_type="same", strides=[2, 1], weight=(4, 6, 5, 4)),
    deconvolution(pad_type="custom", strides=[3, 2], pad=[1, 0, 0, 1]),
    deconvolution(pad_type="valid", dilations=[2, 3]),
    deconvolution(pad_type="same", weight=(4, 3, 4, 3), groups=2, strides=[2, 2]),
    deconvolution(pad_type="valid", weight=(4, 6, 3), shape=(2, 4, 9), strides=[2]),
    deconvolution(pad_type="same", strides=[2, 2], output_shape=[1, 6, 14, 18]),
]

POOLS = [
    Case(
        name=name,
        build=lambda x, name=name, options=options: getattr(mb, name)(x=x, **options),
    )
    for name in ("max_pool", "avg_pool")
    for options in (
        {"kernel_sizes": [2, 3], "pad_type": "valid"},
        {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "same"},
        {"kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "same_lower"},
        {"kernel_sizes": [3, 3], "strides": [2, 3], "pad_type": "custom", "pad": [1, 1, 0, 2]},
        {"kernel_sizes": [2, 2], "strides": [3, 4], "pad_type": "valid", "ceil_mode": True},
        {
            "kernel_sizes": [3, 3],
            "strides": [2, 3],
            "pad_type": "custom",
            "pad": [1, 1, 1, 1],
            "ceil_mode": True,
        },
    )
] + [
    Case(
        name="avg_pool",
        build=lambda x, options=options: mb.avg_pool(
            x=x, exclude_padding_from_average=True, **options
        ),
    )
    for options in (
        {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "same"},
        {
            "kernel_sizes": [3, 2],
            "strides": [3, 4],
            "pad_type": "custom",
            "pad": [1, 1, 0, 0],
            "ceil_mode": True,
        },
    )
]

NORMALISATIONS = [
    Case(
        name="batch_norm",
        build=lambda x: mb.batch_norm(
            x=x,
            mean=like(x, 4),
            variance=np.abs(like(x, 4, seed=2)),
            gamma=like(x, 4, seed=3),
            beta=like(x, 4, seed=4),
            epsilon=one(x, 0.01),
        ),
    ),
    Case(
        name="batch_norm",
        build=lambda x: mb.batch_norm(x=x, mean=like(x, 4), variance=np.abs(like(x, 4, seed=2))),
    ),
    Case(
        name="instance_norm",
        build=lambda x: mb.instance_norm(x=x, gamma=like(x, 4), beta=like(x, 4, seed=2)),
        shapes=((2, 4, 5, 6),),
    ),
    Case(name="instance_norm", build=lambda x: mb.instance_norm(x=x, epsilon=one(x, 0.1))),
    Case(name="l2_norm", build=lambda x: mb.l2_norm(x=x, epsilon=one(x, 0.1))),
    Case(
        name="layer_norm",
        build=lambda x: mb.layer_norm(
            x=x, axes=[-1], gamma=like(x, 9), beta=like(x, 9, seed=2), epsilon=one(x, 0.01)
        ),
    ),
    Case(
        name="layer_norm",
        build=lambda x: mb.layer_norm(x=x, axes=[1], gamma=like(x, 4), beta=like(x, 4, seed=2)),
    ),
    Case(name="layer_norm", build=lambda x: mb.layer_norm(x=x, axes=[2, 3])),
    Case(name="layer_norm", build=lambda x: mb.layer_norm(x=x, axes=[0, 2], epsilon=one(x, 0.1))),
]

LINEAR = [
    Case(
        name="linear",
        build=lambda x: mb.linear(x=x, weight=like(x, 5, 6), bias=like(x, 5, seed=2)),
        shapes=((3, 6),),
    ),
    Case(
        name="linear",
        build=lambda x: mb.linear(x=x, weight=like(x, 5, 6), bias=like(x, 5, seed=2)),
        shapes=((2, 3, 6),),
    ),
    Case(name="linear", build=lambda x: mb.linear(x=x, weight=like(x, 5, 6)), shapes=((6,),)),
    *(
        Case(
            name="matmul",
            build=lambda x, y, a=a, b=b: mb.matmul(x=x, y=y, transpose_x=a, transpose_y=b),
            shapes=(first, second),
        )
        for a, first in ((False, (2, 3, 4)), (True, (2, 4, 3)))
        for b, second in ((False, (4, 5)), (True, (2, 5, 4)))
    ),
    Case(
        name="matmul",
        build=lambda x: mb.matmul(x=x, y=like(x, 5, 4), transpose_y=True),
        shapes=((2, 3, 4),),
    ),
    Case(
        name="einsum",
        build=lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"),
        shapes=((2, 3, 4, 5), (2, 5, 4, 6)),
    ),
    Case(
        name="einsum",
        build=lambda x, y: mb.einsum(values=(x, y), equation="chw,whr->chr"),
        shapes=((3, 4, 5), (5, 4, 6)),
    ),
    Case(
        name="scaled_dot_product_attention",
        build=lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v),
        shapes=((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)),
        target=ct.target.iOS18,
    ),
    Case(
        name="scaled_dot_product_attention",
        build=lambda q, k, v: mb.scaled_dot_product_attention(
            query=q, key=k, value=v, attn_mask=like(q, 3, 5)
        ),
        shapes=((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)),
        target=ct.target.iOS18,
    ),
    Case(
        name="scaled_dot_product_attention",
        build=lambda q, k, v: mb.scaled_dot_product_attention(
            query=q, key=k, value=v, attn_mask=np.tri(3, 5, 1) > 0
        ),
        shapes=((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)),
        target=ct.target.iOS18,
    ),
]

SHAPES = [
    Case(name="reshape", build=lambda x: mb.reshape(x=x, shape=[4, -1])),
    Case(name="reshape", build=lambda x: mb.reshape(x=x, shape=[0, 0, -1, 3])),
    Case(
        name="reshape",
        build=lambda x: mb.reshape(x=x, shape=[1, 0, -1, 0]),
        shapes=((2, 50),),
        target=ct.target.iOS17,
    ),
    Case(name="transpose", build=lambda x: mb.transpose(x=x, perm=[0, 2, -1, 1])),
    Case(name="expand_dims", build=lambda x: mb.expand_dims(x=x, axes=[0, -1]), shapes=((3, 4),)),
    Case(name="squeeze", build=lambda x: mb.squeeze(x=x, axes=[0, -1]), shapes=((1, 3, 1),)),
    Case(name="squeeze", build=lambda x: mb.squeeze(x=x), shapes=((1, 3, 1, 2),)),
    Case(
        name="slice_by_index",
        build=lambda x: mb.slice_by_index(
            x=x,
            begin=[0, 1, -5, 0],
            end=[1, 4, -1, 9],
            stride=[1, 2, 1, 4],
        ),
    ),
    Case(
        name="slice_by_index",
        build=lambda x: mb.slice_by_index(
            x=x,
            begin=[0, -1, 3, 8],
            end=[0, 0, 5, 1],
            stride=[1, 1, 1, -2],
            begin_mask=[True, False, True, False],
            end_mask=[True, False, False, False],
            squeeze_mask=[False, True, False, False],
        ),
    ),
    Case(
        name="slice_by_index",
        build=lambda x: mb.slice_by_index(
            x=x,
            begin=[0, 0],
            end=[0, 0],
            stride=[1, -1],
            begin_mask=[True] * 2,
            end_mask=[True] * 2,
        ),
        shapes=((3, 4),),
    ),
    Case(
        name="slice_by_size",
        build=lambda x: mb.slice_by_size(x=x, begin=[0, 1, 2, -4], size=[1, 2, -1, 3]),
    ),
    Case(
        name="concat",
        build=lambda x, y: mb.concat(values=(x, y), axis=-1),
        shapes=((2, 3), (2, 5)),
    ),
    Case(
        name="concat",
        build=lambda x, y: mb.concat(values=(x, y), axis=1, interleave=True),
        shapes=((2, 3, 4), (2, 3, 4)),
        folded_wrongly=True,
    ),
    Case(
        name="stack", build=lambda x, y: mb.stack(values=(x, y), axis=-1), shapes=((2, 3), (2, 3))
    ),
    Case(name="split", build=lambda x: mb.split(x=x, num_splits=2, axis=1)),
    Case(name="split", build=lambda x: mb.split(x=x, split_sizes=[2, 1, 6], axis=-1)),
    Case(name="tile", build=lambda x: mb.tile(x=x, reps=[1, 2, 3]), shapes=((2, 3, 4),)),
    Case(name="pad", build=lambda x: mb.pad(x=x, pad=[1, 2, 0, 3])),
    Case(
        name="pad",
        build=lambda x: mb.pad(x=x, pad=[1, 0], mode="constant", constant_val=one(x, -2)),
    ),
    Case(name="pad", build=lambda x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="reflect")),
    Case(name="pad", build=lambda x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="replicate")),
    Case(name="reverse", build=lambda x: mb.reverse(x=x, axes=[1, -1])),
    Case(name="reverse", build=lambda x: mb.reverse(x=x)),
    Case(
        name="pixel_shuffle",
        build=lambda x: mb.pixel_shuffle(x=x, upscale_factor=2),
        shapes=((1, 8, 3, 4),),
    ),
    Case(
        name="gather",
        build=lambda x: mb.gather(x=x, indices=np.array([[2, 0], [-1, 1]], np.int32), axis=1),
    ),
    Case(name="gather", build=lambda x: mb.gather(x=x, indices=np.int32(3), axis=-1)),
    *(
        Case(
            name="scatter",
            build=lambda x, y, mode=mode: mb.scatter(
                data=x, indices=np.array([3, 0], np.int32), updates=y, axis=1, mode=mode
            ),
            shapes=((2, 4, 3), (2, 2, 3)),
        )
        for mode in ("update", "add", "mul", "max", "min")
    ),
]

REDUCTIONS = [
    *(
        Case(
            name=name,
            build=lambda x, name=name, options=options: getattr(mb, name)(x=x, **options),
        )
        for name in (
            "reduce_l1_norm",
            "reduce_l2_norm",
            "reduce_log_sum_exp",
            "reduce_max",
            "reduce_mean",
            "reduce_min",
            "reduce_prod",
            "reduce_sum",
            "reduce_sum_square",
        )
        for options in ({"axes": [-1, 2], "keep_dims": True}, {"axes": [1]})
    ),
]

RESIZING = [
    *(
        Case(
            name="upsample_bilinear",
            build=lambda x, corners=corners: mb.upsample_bilinear(
                x=x, scale_factor_height=2.0, scale_factor_width=1.7, align_corners=corners
            ),
        )
        for corners in (True, False)
    ),
    Case(
        name="upsample_nearest_neighbor",
        build=lambda x: mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=2.0, scale_factor_width=3.0
        ),
    ),
]

CASES = [
    *ELEMENTWISE,
    *ACTIVATIONS,
    *CONVOLUTIONS,
    *DECONVOLUTIONS,
    *POOLS,
    *NORMALISATIONS,
    *LINEAR,
    *SHAPES,
    *REDUCTIONS,
    *RESIZING,
]
NAMED = [pytest.param(case, id=f"{case.name}-{index}") for index, case in enumerate(CASES)]


WITHOUT_VALUE_INFERENCE = {
    "avg_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "instance_norm",
    "max_pool",
    "pixel_shuffle",
    "scatter",
    "silu",
    "upsample_bilinear",
    "upsample_nearest_neighbor",
}
"""Operations that coremltools 9 cannot compute itself."""


def inferred(case: Case, inputs: dict[str, np.ndarray]) -> list[Any]:
    """What coremltools computes when it folds the operation on constants."""
    values: list[Any] = []

    def folded(x0: Any) -> Any:
        results = case.build(*(mb.const(val=array) for array in inputs.values()))
        listed = results if isinstance(results, (list, tuple)) else [results]
        values.extend(result.val for result in listed)
        return mb.identity(x=x0)

    target = ct.target.iOS16 if case.target is None else case.target
    specs = [mb.TensorSpec(shape=(1,))]
    mb.program(input_specs=specs, opset_version=target)(folded)
    return values


def inputs_for(case: Case) -> dict[str, np.ndarray]:
    arrays = {f"x{i}": numbers(*shape, seed=10 + i) for i, shape in enumerate(case.shapes)}
    return {n: np.abs(array) + 0.1 if case.positive else array for n, array in arrays.items()}


@pytest.mark.parametrize("case", NAMED)
def test_an_operation_agrees_with_the_interpreter_and_with_coremltools(
    case: Case, tmp_path: Path
) -> None:
    made, inputs = program(case.build, case.shapes, tmp_path, target=case.target), inputs_for(case)
    expected = interpret(made.spec, made.weights, inputs, half=False)
    answers = lowered(made, inputs, "stored")
    for (name, answer), value in zip(answers.items(), inferred(case, inputs), strict=True):
        np.testing.assert_allclose(answer, expected[name], rtol=2e-5, atol=2e-6)
        assert (value is None) == (case.name in WITHOUT_VALUE_INFERENCE)
        if value is not None and not case.folded_wrongly:
            np.testing.assert_allclose(answer, value, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", NAMED)
def test_a_float16_operation_agrees_with_the_interpreter_that_rounds(
    case: Case, tmp_path: Path
) -> None:
    made = program(case.build, case.shapes, tmp_path, dtype="float16", target=case.target)
    inputs = {name: array.astype(np.float16) for name, array in inputs_for(case).items()}
    expected = interpret(made.spec, made.weights, inputs, half=True)
    for name, answer in lowered(made, inputs, "device-estimate").items():
        # One unit in the last place of float16, for sums that fall on either side of a tie.
        np.testing.assert_allclose(answer, expected[name], rtol=1e-3, atol=1e-6)


def test_every_operation_is_tested_and_has_a_second_implementation() -> None:
    assert {case.name for case in CASES} == set(LOWERINGS)
    assert set(LOWERINGS) < set(OPERATIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [2, 2], "output_shape": [1, 6, 16, 18]}, "its output_shape is not the"),
        ({"strides": [4, 4], "pad_type": "same"}, "its stride exceeds its kernel"),
    ],
)
def test_a_deconvolution_whose_place_is_not_said_is_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    case = deconvolution(**options)
    made = program(case.build, case.shapes, tmp_path)
    with pytest.raises(UnsupportedError, match=message):
        lowered(made, inputs_for(case), "stored")
