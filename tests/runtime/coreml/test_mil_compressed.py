"""Compressed weights are expanded as the specification says, in all forms coremltools 9 writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilecv_runtime.coreml.mil.compressed import COMPRESSED
from runtime.coreml.mil_interpreter import OPERATIONS, interpret
from runtime.coreml.mil_programs import Build, ct, lowered, mb, program, types

IOS16, IOS18 = ct.target.iOS16, ct.target.iOS18
RANDOM = np.random.default_rng(3)
INT4, UINT1 = types.np_int4_dtype, types.np_uint1_dtype
SHAPE = (8, 12)
SCALES = RANDOM.uniform(0.01, 0.1, 8).astype(np.float32)
MASK = (RANDOM.uniform(size=SHAPE) < 0.4).astype(np.uint8)
COUNT = int(MASK.sum())


def packed(values: np.ndarray, width: int) -> np.ndarray:
    return np.packbits(
        np.unpackbits(values.reshape(-1, 1), axis=1, bitorder="little")[:, :width],
        bitorder="little",
    )


def affine(kind: Any, *, whole: bool) -> Any:
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    data = RANDOM.integers(low, high, SHAPE, endpoint=True).astype(kind)
    points = RANDOM.integers(low, high, 8, endpoint=True).astype(kind)
    return mb.constexpr_affine_dequantize(
        quantized_data=data,
        zero_point=points[0] if whole else points,
        scale=SCALES[0] if whole else SCALES,
        axis=0,
    )


def packed_lut(width: int) -> Any:
    indices = RANDOM.integers(0, 2**width, SHAPE).astype(np.uint8)
    lut = RANDOM.normal(size=2**width).astype(np.float32)
    return mb.constexpr_lut_to_dense(
        indices=packed(indices, width), lut=lut, shape=np.array(SHAPE, np.uint32)
    )


def lut(width: int, tables: tuple[int, int], vector: int = 1, axis: int | None = None) -> Any:
    shape = list(SHAPE)
    if axis is not None:
        shape[axis] //= vector
    kind = getattr(types, f"np_uint{width}_dtype") if width < 8 else np.uint8
    options = {} if axis is None else {"vector_axis": np.int32(axis)}
    return mb.constexpr_lut_to_dense(
        indices=RANDOM.integers(0, 2**width, shape).astype(np.uint8).astype(kind),
        lut=RANDOM.normal(size=(*tables, 2**width, vector)).astype(np.float32),
        **options,
    )


def blockwise(kind: Any, blocks: tuple[int, int], *, offset: bool) -> Any:
    data = RANDOM.integers(-8, 7, SHAPE).astype(np.int8).astype(kind)
    options = {"offset": RANDOM.integers(-8, 7, blocks).astype(np.int8).astype(kind)}
    scale = RANDOM.uniform(0.01, 0.1, blocks).astype(np.float32)
    return mb.constexpr_blockwise_shift_scale(data=data, scale=scale, **(options if offset else {}))


def sparse_lut() -> Any:
    mask, values = mb.constexpr_lut_to_sparse(
        indices_mask=MASK.astype(UINT1),
        indices_nonzero_data=RANDOM.integers(0, 4, COUNT)
        .astype(np.uint8)
        .astype(types.np_uint2_dtype),
        lut=RANDOM.normal(size=(2, 1, 4, 1)).astype(np.float32),
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


def sparse_blockwise() -> Any:
    mask, values = mb.constexpr_sparse_blockwise_shift_scale(
        data_mask=MASK.astype(UINT1),
        nonzero_data=RANDOM.integers(-128, 127, COUNT).astype(np.int8),
        scale=RANDOM.uniform(0.01, 0.1, (8, 3)).astype(np.float32),
        offset=RANDOM.integers(-128, 127, (8, 3)).astype(np.int8),
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


FORMS: dict[str, tuple[Any, Build]] = {
    "affine uint8 per channel": (IOS16, lambda: affine(np.uint8, whole=False)),
    "affine int8 per channel": (IOS16, lambda: affine(np.int8, whole=False)),
    "affine int8 per tensor": (IOS16, lambda: affine(np.int8, whole=True)),
    "cast": (
        IOS16,
        lambda: mb.constexpr_cast(
            source_val=RANDOM.normal(size=SHAPE).astype(np.float16), output_dtype="fp32"
        ),
    ),
    **{
        f"packed table of {width} bits": (IOS16, lambda width=width: packed_lut(width))
        for width in (1, 2, 4, 6, 8)
    },
    "packed sparse": (
        IOS16,
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=RANDOM.normal(size=COUNT).astype(np.float32),
            mask=np.packbits(MASK.reshape(-1), bitorder="little"),
            shape=np.array(SHAPE, np.uint32),
        ),
    ),
    **{
        f"table of {width} bits": (IOS18, lambda width=width: lut(width, (1, 1)))
        for width in (1, 2, 3, 4, 6, 8)
    },
    "a table per channel": (IOS18, lambda: lut(2, (8, 1))),
    "a table per block": (IOS18, lambda: lut(2, (4, 3))),
    "a table of vectors along 0": (IOS18, lambda: lut(2, (1, 1), 2, 0)),
    "a table of vectors along 1": (IOS18, lambda: lut(2, (2, 1), 3, 1)),
    "blockwise int4": (IOS18, lambda: blockwise(INT4, (4, 3), offset=False)),
    "blockwise int4 with offsets": (IOS18, lambda: blockwise(INT4, (8, 2), offset=True)),
    "blockwise int8 per channel": (IOS18, lambda: blockwise(np.int8, (8, 1), offset=True)),
    "sparse": (
        IOS18,
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=RANDOM.normal(size=COUNT).astype(np.float32), mask=MASK.astype(UINT1)
        ),
    ),
    "sparse table": (IOS18, sparse_lut),
    "sparse blockwise": (IOS18, sparse_blockwise),
}


@pytest.mark.parametrize("form", FORMS)
def test_compressed_weights_expand_as_in_the_interpreter_and_in_coremltools(
    form: str, tmp_path: Path
) -> None:
    target, build = FORMS[form]
    expanded: list[np.ndarray] = []

    def added(x: Any) -> Any:
        weight = build()
        expanded.append(weight.op.materialized_val_inference())
        return mb.add(x=x, y=weight)

    made = program(added, [SHAPE], tmp_path, target=target)
    inputs = {"x0": np.zeros(SHAPE, np.float32)}
    (answer,) = lowered(made, inputs, "stored").values()
    (name,) = made.outputs
    expected = interpret(made.spec, made.weights, inputs, half=False)[name]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(answer, expanded[0], rtol=1e-5, atol=1e-7)


def test_every_form_has_a_second_implementation() -> None:
    assert set(COMPRESSED) < set(OPERATIONS)
