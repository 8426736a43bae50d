"""Lowers the operations of ML Programs that take each element by itself.

Source: the coremltools MIL op reference, `elementwise_unary`, `elementwise_binary` and, for
`select`, `control_flow`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering

_ONNX_TYPES: Final = {"fp16": 1, "fp32": 1, "int32": 6, "bool": 9, "int8": 3, "uint8": 2}
"""float16 is held as float32 in the graph, and rounded after the operation."""
_RESULT_TYPES: Final = {"fp16": "float16", "fp32": "float32"}


def _unary(onnx: str) -> Lowering:
    def lower(call: Call) -> str:
        call.require_float("x")
        return call.graph.node(onnx, [call.tensor("x")])

    return lower


def _arithmetic(onnx: str) -> Lowering:
    """Operations on numbers of one type, with numpy's broadcasting."""

    def lower(call: Call) -> str:
        _same_types(call, "x", "y")
        return call.graph.node(onnx, [call.tensor("x"), call.tensor("y")])

    return lower


def _negated(onnx: str) -> Lowering:
    lower_positive = _arithmetic(onnx)

    def lower(call: Call) -> str:
        result = lower_positive(call)
        assert isinstance(result, str)
        return call.graph.node("Not", [result])

    return lower


def _same_types(call: Call, first: str, second: str) -> None:
    if call.dtype(first) != call.dtype(second):
        raise call.refuse(f"{first} is {call.dtype(first)}, {second} is {call.dtype(second)}")


def real_div(call: Call) -> str:
    """`real_div`: x / y; of integers it is refused, for the reference does not say its rounding."""
    call.require_float("x")
    _same_types(call, "x", "y")
    return call.graph.node("Div", [call.tensor("x"), call.tensor("y")])


def square(call: Call) -> str:
    """`square`: x * x."""
    x = call.tensor("x")
    return call.graph.node("Mul", [x, x])


def rsqrt(call: Call) -> str:
    """`rsqrt`: 1 / sqrt(x + epsilon), epsilon 1e-12 by default."""
    call.require_float("x")
    root = call.graph.node("Sqrt", [_plus_epsilon(call, 1e-12)])
    return call.graph.node("Reciprocal", [root])


def inverse(call: Call) -> str:
    """`inverse`: 1 / (x + epsilon), epsilon 1e-4 by default."""
    call.require_float("x")
    return call.graph.node("Reciprocal", [_plus_epsilon(call, 1e-4)])


def log(call: Call) -> str:
    """`log`: the natural logarithm of x + epsilon, 1e-45 by default."""
    call.require_float("x")
    return call.graph.node("Log", [_plus_epsilon(call, 1e-45)])


def _plus_epsilon(call: Call, default: float) -> str:
    epsilon = np.asarray(call.real("epsilon", default), np.float32)
    return call.graph.node("Add", [call.tensor("x"), call.constant(epsilon)])


def clip(call: Call) -> str:
    """`clip`: min(max(x, alpha), beta)."""
    call.require_float("x")
    low, high = (np.asarray(call.real(name), np.float32) for name in ("alpha", "beta"))
    return call.graph.node("Clip", [call.tensor("x"), call.constant(low), call.constant(high)])


def threshold(call: Call) -> str:
    """`threshold`: max(x, alpha)."""
    call.require_float("x")
    low = np.asarray(call.real("alpha"), np.float32)
    return call.graph.node("Max", [call.tensor("x"), call.constant(low)])


def cast(call: Call) -> str:
    """`cast`: to another type; floats are cut off towards zero when they become integers."""
    word = call.choice("dtype", list(_ONNX_TYPES))
    if call.result.dtype != _RESULT_TYPES.get(word, word):
        raise call.refuse(f"it casts to {word} but its result is {call.result.dtype}")
    return call.graph.node("Cast", [call.tensor("x")], to=_ONNX_TYPES[word])


def select(call: Call) -> str:
    """`select`: a where cond holds, else b, with broadcasting."""
    _same_types(call, "a", "b")
    return call.graph.node("Where", [call.tensor(name) for name in ("cond", "a", "b")])


def identity(call: Call) -> str:
    """`identity`: x."""
    return call.tensor("x")


ELEMENTWISE: Final[Mapping[str, Lowering]] = {
    "abs": _unary("Abs"),
    "add": _arithmetic("Add"),
    "cast": cast,
    "ceil": _unary("Ceil"),
    "clip": clip,
    "cos": _unary("Cos"),
    "equal": _arithmetic("Equal"),
    "erf": _unary("Erf"),
    "exp": _unary("Exp"),
    "floor": _unary("Floor"),
    "greater": _arithmetic("Greater"),
    "greater_equal": _arithmetic("GreaterOrEqual"),
    "identity": identity,
    "inverse": inverse,
    "less": _arithmetic("Less"),
    "less_equal": _arithmetic("LessOrEqual"),
    "log": log,
    "logical_and": _arithmetic("And"),
    "logical_not": lambda call: call.graph.node("Not", [call.tensor("x")]),
    "logical_or": _arithmetic("Or"),
    "logical_xor": _arithmetic("Xor"),
    "maximum": _arithmetic("Max"),
    "minimum": _arithmetic("Min"),
    "mul": _arithmetic("Mul"),
    "not_equal": _negated("Equal"),
    "pow": _arithmetic("Pow"),
    "real_div": real_div,
    "round": _unary("Round"),
    "rsqrt": rsqrt,
    "select": select,
    "sign": _unary("Sign"),
    "sin": _unary("Sin"),
    "sqrt": _unary("Sqrt"),
    "square": square,
    "sub": _arithmetic("Sub"),
    "tanh": _unary("Tanh"),
    "threshold": threshold,
}
