"""Lowers the matrix products of ML Programs.

Source: the coremltools MIL op reference, `linear` and, for attention, `transformers` of iOS 18
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering
from mobilecv_runtime.coreml.mil.values import Constant
from mobilecv_runtime.errors import BundleError


def linear(call: Call) -> str:
    """`linear`: x * weight.T + bias, with weights (D_out, D_in)."""
    call.require_float("x")
    shape, weight = call.shape("x"), call.array("weight")
    if weight.ndim != 2 or not shape or shape[-1] != weight.shape[1]:
        raise BundleError(f"{call.operation}: weights {weight.shape} and input {shape}")
    bias = [call.tensor("bias")] if call.has("bias") else []
    if len(shape) == 2:
        inputs = [call.tensor("x"), call.tensor("weight"), *bias]
        return call.graph.node("Gemm", inputs, transB=1)
    product = call.graph.node("MatMul", [call.tensor("x"), call.constant(weight.T)])
    return call.graph.node("Add", [product, *bias]) if bias else product


def matmul(call: Call) -> str:
    """`matmul`: numpy's matmul, after the last two axes of x or y were swapped on demand."""
    call.require_float("x")
    return call.graph.node("MatMul", [_swapped(call, name) for name in ("x", "y")])


def _swapped(call: Call, parameter: str) -> str:
    value, rank = call.value(parameter), len(call.shape(parameter))
    # "It has no effect when x is 1-D."
    if not call.flag(f"transpose_{parameter}", default=False) or rank < 2:
        return call.tensor(parameter)
    if isinstance(value, Constant):
        return call.constant(np.swapaxes(value.array, -1, -2))
    order = [*range(rank - 2), rank - 1, rank - 2]
    return call.graph.node("Transpose", [value.name], perm=order)


def einsum(call: Call) -> str:
    """`einsum`: the two products of matrices that lie on axes -1 and -3."""
    equation = str(call.array("equation"))
    letters = list(dict.fromkeys(letter for letter in equation if letter.isalpha()))
    renamed = equation.replace(" ", "").translate(
        {ord(letter): "abcdefgh"[index % 8] for index, letter in enumerate(letters)}
    )
    if renamed not in ("abcd,adce->abce", "abc,cbd->abd"):
        raise call.refuse(f"the equation {equation!r} is not one of the reference's two")
    return call.graph.node("Einsum", call.tensors("values"), equation=renamed)


def scaled_dot_product_attention(call: Call) -> str:
    """`scaled_dot_product_attention`: softmax(Q K^T / sqrt(E) + mask) V, over the last axis."""
    call.require_float("query")
    graph, width, rank = call.graph, call.shape("query")[-1], len(call.shape("key"))
    keys = graph.node(
        "Transpose", [call.tensor("key")], perm=[*range(rank - 2), rank - 1, rank - 2]
    )
    scale = call.constant(np.asarray(1 / math.sqrt(width), np.float32))
    scores = graph.node("Mul", [graph.node("MatMul", [call.tensor("query"), keys]), scale])
    if call.has("attn_mask"):
        scores = _masked(call, scores)
    return graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), call.tensor("value")])


def _masked(call: Call, scores: str) -> str:
    mask = call.tensor("attn_mask")
    if call.dtype("attn_mask") != "bool":
        return call.graph.node("Add", [scores, mask])
    never = call.constant(np.asarray(-np.inf, np.float32))
    return call.graph.node("Where", [mask, scores, never])


LINEAR: Final[Mapping[str, Lowering]] = {
    "einsum": einsum,
    "linear": linear,
    "matmul": matmul,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
