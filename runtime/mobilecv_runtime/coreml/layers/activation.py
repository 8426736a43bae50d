"""The activation functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.protobuf import Message

_Activation: TypeAlias = Callable[[LayerGraph, Layer, Message], Tensor]


def activation(graph: LayerGraph, layer: Layer) -> Tensor:
    """One of the activation functions.

    Source: message `ActivationParams` of NeuralNetwork.proto.
    """
    found = layer.parameters.present()
    if len(found) != 1 or found[0] not in _ACTIVATIONS:
        raise layer.unsupported(f"activation {' and '.join(found) or 'of no type'}")
    return _ACTIVATIONS[found[0]](graph, layer, layer.message(found[0]))


def _plain(op: str) -> _Activation:
    def apply(graph: LayerGraph, layer: Layer, _: Message) -> Tensor:
        return graph.pointwise(op, layer.input)

    return apply


def _linear(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Alpha * x + beta. Source: message `ActivationLinear`."""
    alpha, beta = parameters.real("alpha"), parameters.real("beta")
    return affine(graph, layer.input, alpha, beta)


def _leaky(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Alpha * x below 0. Source: message `ActivationLeakyReLU`."""
    return graph.pointwise("LeakyRelu", layer.input, alpha=parameters.real("alpha"))


def _thresholded(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """X where x >= alpha, else 0. Source: message `ActivationThresholdedReLU`.

    Not ONNX's ThresholdedRelu, which gives 0 at alpha itself.
    """
    tensor = layer.input
    below = graph.boolean("Less", [tensor, graph.number(parameters.real("alpha"))])
    return graph.apply("Where", [below, graph.number(0.0), tensor], tensor.shape)


def _scaled_tanh(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Alpha * tanh(beta * x). Source: message `ActivationScaledTanh`."""
    alpha, beta = parameters.real("alpha"), parameters.real("beta")
    inner = graph.pointwise("Mul", layer.input, graph.number(beta))
    return graph.pointwise("Mul", graph.pointwise("Tanh", inner), graph.number(alpha))


def _hard_sigmoid(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Min(max(alpha * x + beta, 0), 1). Source: message `ActivationSigmoidHard`."""
    alpha, beta = parameters.real("alpha"), parameters.real("beta")
    return graph.pointwise("HardSigmoid", layer.input, alpha=alpha, beta=beta)


def _elu(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Alpha * (e**x - 1) below 0. Source: message `ActivationELU`."""
    return graph.pointwise("Elu", layer.input, alpha=parameters.real("alpha"))


def _prelu(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """A slope below 0 for each channel, or one for all. Source: message `ActivationPReLU`."""
    tensor = layer.expect(1, rank=3)[0]
    slopes = _per_channel(graph, layer, parameters, "alpha")
    return graph.apply("PRelu", [tensor, slopes], tensor.shape)


def _parametric_softplus(graph: LayerGraph, layer: Layer, parameters: Message) -> Tensor:
    """Alpha * log(1 + e**(beta * x)). Source: message `ActivationParametricSoftplus`."""
    tensor = layer.expect(1, rank=3)[0]
    inner = graph.binary("Mul", tensor, _per_channel(graph, layer, parameters, "beta"))
    outer = graph.pointwise("Softplus", inner)
    return graph.binary("Mul", outer, _per_channel(graph, layer, parameters, "alpha"))


def _per_channel(graph: LayerGraph, layer: Layer, parameters: Message, field: str) -> Tensor:
    stored = parameters.message(field)
    channels = layer.input.shape[-3]
    single = stored.reals("floatValue").size == 1 or len(stored.data("float16Value")) == 2
    values = layer.weights(field, (1 if single else channels,), within=parameters)
    return graph.constant(values.reshape(-1, 1, 1))


def affine(graph: LayerGraph, tensor: Tensor, scale: float, shift: float) -> Tensor:
    """Scale * x + shift, without the half that does nothing."""
    if (scale, shift) == (-1.0, 0.0):
        return graph.negate(tensor)
    if scale != 1.0:
        tensor = graph.pointwise("Mul", tensor, graph.number(scale))
    if shift != 0.0:
        tensor = graph.pointwise("Add", tensor, graph.number(shift))
    return tensor


def clamped_relu(graph: LayerGraph, layer: Layer) -> Tensor:
    """Min(beta, x) from 0 on, min(beta, alpha * x) below.

    Source: message `ClampedReLULayerParams` of NeuralNetwork.proto.
    """
    leaky = graph.pointwise("LeakyRelu", layer.input, alpha=layer.real("alpha"))
    return graph.pointwise("Min", leaky, graph.number(layer.real("beta")))


def gelu(graph: LayerGraph, layer: Layer) -> Tensor:
    """The Gaussian error linear unit, exact or in one of two approximations.

    Source: message `GeluLayerParams` of NeuralNetwork.proto.
    """
    tensor = layer.input
    mode = layer.choice("mode", ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"))
    if mode == "SIGMOID_APPROXIMATION":
        gate = graph.pointwise("Sigmoid", affine(graph, tensor, 1.702, 0.0))
        return graph.binary("Mul", tensor, gate)
    approximate = "tanh" if mode == "TANH_APPROXIMATION" else "none"
    return graph.pointwise("Gelu", tensor, approximate=approximate)


def clip(graph: LayerGraph, layer: Layer) -> Tensor:
    """Min(max(x, minVal), maxVal).

    Source: message `ClipLayerParams` of NeuralNetwork.proto.
    """
    low, high = layer.real("minVal"), layer.real("maxVal")
    if not low <= high:
        raise layer.damaged(f"minVal {low} above maxVal {high}")
    return graph.pointwise("Clip", layer.input, graph.number(low), graph.number(high))


_ACTIVATIONS: Final[Mapping[str, _Activation]] = {
    "linear": _linear,
    "ReLU": _plain("Relu"),
    "leakyReLU": _leaky,
    "thresholdedReLU": _thresholded,
    "PReLU": _prelu,
    "tanh": _plain("Tanh"),
    "scaledTanh": _scaled_tanh,
    "sigmoid": _plain("Sigmoid"),
    "sigmoidHard": _hard_sigmoid,
    "ELU": _elu,
    "softsign": _plain("Softsign"),
    "softplus": _plain("Softplus"),
    "parametricSoftplus": _parametric_softplus,
}

ACTIVATION: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "activation": activation,
    "clampedReLU": clamped_relu,
    "clip": clip,
    "gelu": gelu,
}
