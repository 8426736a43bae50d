"""Normalisation by mean and variance, by length, by neighbours, and to probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor


def batch_normalization(graph: LayerGraph, layer: Layer) -> Tensor:
    """Gamma * (x - mean) / sqrt(variance + epsilon) + beta for each channel.

    Mean and variance are stored, or computed: of one image, or of the whole batch.

    Source: message `BatchnormLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    channels = layer.count("channels")
    if channels != tensor.shape[-3]:
        raise layer.damaged(f"channels {channels} on an input of shape {tensor.shape}")
    epsilon = layer.real("epsilon", default=1e-5)
    gamma, beta = (layer.weights(field, (channels,)) for field in ("gamma", "beta"))
    computed, instance = layer.flag("computeMeanVar"), layer.flag("instanceNormalization")
    if computed:
        for field in ("mean", "variance"):
            layer.parameters.message(field)  # The specification ignores them here.
        kept = {tensor.rank - 3} if not instance else set(range(tensor.rank - 2))
        axes = [axis for axis in range(tensor.rank) if axis not in kept]
        normal = standardized(graph, tensor, axes, epsilon)
        scaled = graph.binary("Mul", normal, graph.constant(gamma.reshape(-1, 1, 1)))
        return graph.binary("Add", scaled, graph.constant(beta.reshape(-1, 1, 1)))
    if instance:
        raise layer.unsupported("instanceNormalization with a stored mean and variance")
    mean, variance = (layer.weights(field, (channels,)) for field in ("mean", "variance"))
    images = graph.images(tensor)
    constants = [graph.constant(value) for value in (gamma, beta, mean, variance)]
    # ONNX has the same formula, and onnxruntime folds it into a convolution before it.
    result = graph.apply("BatchNormalization", [images, *constants], images.shape, epsilon=epsilon)
    return graph.like(result, tensor)


def standardized(graph: LayerGraph, tensor: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon), with the variance of the values themselves (/ n)."""
    centred = _centred(graph, tensor, axes)
    variance = graph.reduce("ReduceMean", graph.binary("Mul", centred, centred), axes)
    deviation = graph.pointwise("Sqrt", graph.pointwise("Add", variance, graph.number(epsilon)))
    return graph.binary("Div", centred, deviation)


def _centred(graph: LayerGraph, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    return graph.binary("Sub", tensor, graph.reduce("ReduceMean", tensor, axes))


def mean_variance(graph: LayerGraph, layer: Layer) -> Tensor:
    """Standardize each channel, or all channels of an image together; or only centre.

    Source: message `MeanVarianceNormalizeLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    count = 3 if layer.flag("acrossChannels") else 2
    axes = list(range(tensor.rank - count, tensor.rank))
    epsilon = layer.real("epsilon", default=1e-6)
    if layer.flag("normalizeVariance"):
        return standardized(graph, tensor, axes, epsilon)
    return _centred(graph, tensor, axes)


def l2_normalize(graph: LayerGraph, layer: Layer) -> Tensor:
    """X / sqrt(sum of all squares of an image + epsilon).

    Source: message `L2NormalizeLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    axes = range(tensor.rank - 3, tensor.rank)
    squares = graph.reduce("ReduceSumSquare", tensor, list(axes))
    epsilon = graph.number(layer.real("epsilon", default=1e-6))
    length = graph.pointwise("Sqrt", graph.pointwise("Add", squares, epsilon))
    return graph.binary("Div", tensor, length)


def local_response(graph: LayerGraph, layer: Layer) -> Tensor:
    """X / (k + alpha / localSize * sum of squares of neighbouring channels) ** beta.

    Source: message `LRNLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    size = layer.count("localSize")
    if size % 2 == 0:
        raise layer.unsupported(f"localSize {size}: which neighbours is open when it is even")
    images = graph.images(tensor)
    alpha, beta = layer.real("alpha"), layer.real("beta")
    if not (alpha > 0 and beta > 0):
        raise layer.unsupported(f"alpha {alpha} and beta {beta}, expected positive numbers")
    bias = layer.real("k", default=1.0)
    # The ONNX operation has this very formula.
    result = graph.apply(
        "LRN", [images], images.shape, alpha=alpha, beta=beta, bias=bias, size=size
    )
    return graph.like(result, tensor)


def layer_normalization(graph: LayerGraph, layer: Layer) -> Tensor:
    """Gamma * standardized + beta over the last dimensions.

    Source: message `LayerNormalizationLayerParams` of NeuralNetwork.proto.
    """
    tensor = layer.input
    shape = layer.sizes("normalizedShape")
    if not shape or tensor.shape[-len(shape) :] != shape:
        raise layer.damaged(f"normalizedShape {shape} on an input of shape {tensor.shape}")
    gamma, beta = (graph.constant(layer.weights(field, shape)) for field in ("gamma", "beta"))
    return graph.apply(
        "LayerNormalization",
        [tensor, gamma, beta],
        tensor.shape,
        axis=-len(shape),
        epsilon=layer.real("eps"),
    )


def softmax(graph: LayerGraph, layer: Layer) -> Tensor:
    """Softmax over the channels. Source: message `SoftmaxLayerParams` of NeuralNetwork.proto."""
    (tensor,) = layer.expect(1, rank=3)
    return graph.apply("Softmax", [tensor], tensor.shape, axis=-3)


def softmax_nd(graph: LayerGraph, layer: Layer) -> Tensor:
    """Softmax over any axis. Source: message `SoftmaxNDLayerParams` of NeuralNetwork.proto."""
    tensor = layer.input
    axis = layer.axis(layer.integer("axis"), tensor.rank)
    return graph.apply("Softmax", [tensor], tensor.shape, axis=axis)


NORMALISATION: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "batchnorm": batch_normalization,
    "mvn": mean_variance,
    "l2normalize": l2_normalize,
    "lrn": local_response,
    "layerNormalization": layer_normalization,
    "softmax": softmax,
    "softmaxND": softmax_nd,
}
