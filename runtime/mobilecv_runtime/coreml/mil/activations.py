"""Lowers the activations of ML Programs.

Source: the coremltools MIL op reference, `activation`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv_runtime.coreml.mil.call import Call, Lowering


def relu(call: Call) -> str:
    """`relu`: max(x, 0)."""
    call.require_float("x")
    return call.graph.node("Relu", [call.tensor("x")])


def relu6(call: Call) -> str:
    """`relu6`: min(max(x, 0), 6)."""
    call.require_float("x")
    return call.graph.node("Clip", [call.tensor("x"), _number(call, 0), _number(call, 6)])


def clamped_relu(call: Call) -> str:
    """`clamped_relu`: min(beta, x) where x >= 0, else min(beta, alpha * x)."""
    call.require_float("x")
    leaky = call.graph.node("LeakyRelu", [call.tensor("x")], alpha=call.real("alpha"))
    return call.graph.node("Min", [leaky, _number(call, call.real("beta"))])


def leaky_relu(call: Call) -> str:
    """`leaky_relu`: x where x >= 0, else alpha * x."""
    call.require_float("x")
    return call.graph.node("LeakyRelu", [call.tensor("x")], alpha=call.real("alpha"))


def thresholded_relu(call: Call) -> str:
    """`thresholded_relu`: x where x >= alpha, else 0 (ONNX keeps only x > alpha)."""
    call.require_float("x")
    x, graph = call.tensor("x"), call.graph
    below = graph.node("Less", [x, _number(call, call.real("alpha"))])
    return graph.node("Where", [below, _number(call, 0), x])


def elu(call: Call) -> str:
    """`elu`: x where x > 0, else alpha * (e^x - 1)."""
    call.require_float("x")
    return call.graph.node("Elu", [call.tensor("x")], alpha=call.real("alpha"))


def prelu(call: Call) -> str:
    """`prelu`: x where x > 0, else alpha * x, with one alpha per channel (axis 1)."""
    call.require_float("x")
    alpha, rank = call.array("alpha"), len(call.shape("x"))
    if rank < 2 or alpha.shape != call.shape("x")[1:2]:
        raise call.refuse(f"alpha {alpha.shape} is not one per channel of x {call.shape('x')}")
    slope = call.constant(alpha.reshape(-1, *[1] * (rank - 2)))
    return call.graph.node("PRelu", [call.tensor("x"), slope])


def linear_activation(call: Call) -> str:
    """`linear_activation`: alpha * x + beta."""
    call.require_float("x")
    scaled = call.graph.node("Mul", [call.tensor("x"), _number(call, call.real("alpha"))])
    return call.graph.node("Add", [scaled, _number(call, call.real("beta"))])


def scaled_tanh(call: Call) -> str:
    """`scaled_tanh`: alpha * tanh(beta * x)."""
    call.require_float("x")
    inner = call.graph.node("Mul", [call.tensor("x"), _number(call, call.real("beta"))])
    return call.graph.node(
        "Mul", [call.graph.node("Tanh", [inner]), _number(call, call.real("alpha"))]
    )


def sigmoid(call: Call) -> str:
    """`sigmoid`: 1 / (1 + e^-x)."""
    call.require_float("x")
    return call.graph.node("Sigmoid", [call.tensor("x")])


def sigmoid_hard(call: Call) -> str:
    """`sigmoid_hard`: min(max(alpha * x + beta, 0), 1)."""
    call.require_float("x")
    alpha, beta = call.real("alpha"), call.real("beta")
    return call.graph.node("HardSigmoid", [call.tensor("x")], alpha=alpha, beta=beta)


def silu(call: Call) -> str:
    """`silu`: x * sigmoid(x)."""
    call.require_float("x")
    x = call.tensor("x")
    return call.graph.node("Mul", [x, call.graph.node("Sigmoid", [x])])


def softplus(call: Call) -> str:
    """`softplus`: log(1 + e^x)."""
    call.require_float("x")
    return call.graph.node("Softplus", [call.tensor("x")])


def softsign(call: Call) -> str:
    """`softsign`: x / (1 + |x|)."""
    call.require_float("x")
    return call.graph.node("Softsign", [call.tensor("x")])


def gelu(call: Call) -> str:
    """`gelu`: exact, or approximated by tanh, or as x * sigmoid(1.702 * x)."""
    call.require_float("x")
    modes = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    mode, x, graph = call.choice("mode", modes, "EXACT"), call.tensor("x"), call.graph
    if mode == "SIGMOID_APPROXIMATION":
        return graph.node(
            "Mul", [x, graph.node("Sigmoid", [graph.node("Mul", [x, _number(call, 1.702)])])]
        )
    return graph.node("Gelu", [x], approximate="none" if mode == "EXACT" else "tanh")


def softmax(call: Call) -> str:
    """`softmax`: along one axis, the last by default."""
    call.require_float("x")
    axis = call.axis("axis", len(call.shape("x")), -1)
    return call.graph.node("Softmax", [call.tensor("x")], axis=axis)


def _number(call: Call, number: float) -> str:
    return call.constant(np.asarray(number, np.float32))


ACTIVATIONS: Final[Mapping[str, Lowering]] = {
    "clamped_relu": clamped_relu,
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "linear_activation": linear_activation,
    "prelu": prelu,
    "relu": relu,
    "relu6": relu6,
    "scaled_tanh": scaled_tanh,
    "sigmoid": sigmoid,
    "sigmoid_hard": sigmoid_hard,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "thresholded_relu": thresholded_relu,
}
