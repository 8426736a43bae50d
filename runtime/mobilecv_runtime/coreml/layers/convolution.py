"""Convolution and deconvolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.windows import ASYMMETRY, borders, pads, valid_or_same


def convolution(graph: LayerGraph, layer: Layer) -> Tensor:
    """Spatial convolution, grouped and dilated.

    Source: message `ConvolutionLayerParams` of NeuralNetwork.proto.
    """
    if layer.flag("isDeconvolution"):
        return _deconvolution(graph, layer)
    if len(layer.inputs) == 2:
        raise layer.unsupported("weights that are computed by the network")
    (tensor,) = layer.expect(1, rank=4)
    images = graph.images(tensor)
    batch, channels, *lengths = images.shape
    kernel, strides = layer.pair("kernelSize", (3, 3)), layer.pair("stride", (1, 1))
    dilation = layer.pair("dilationFactor", (1, 1))
    results, depth = layer.count("outputChannels"), layer.count("kernelChannels")
    groups = _groups(layer, results)
    if depth * groups != channels:
        raise layer.damaged(f"{groups} groups of {depth} channels on an input of {channels}")
    sizes = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    height, width = valid_or_same(layer, (lengths[0], lengths[1]), sizes, strides)
    weights = layer.weights("weights", (results, depth, *kernel))
    result = graph.apply(
        "Conv",
        [images, graph.constant(weights), *_bias(graph, layer, results)],
        (batch, results, height.steps(lengths[0]), width.steps(lengths[1])),
        kernel_shape=list(kernel),
        strides=list(strides),
        dilations=list(dilation),
        group=groups,
        pads=pads(height, width),
    )
    return graph.like(result, tensor)


def _deconvolution(graph: LayerGraph, layer: Layer) -> Tensor:
    """The transpose of a convolution.

    With `same`, height and width become input times stride; what is cut lies where the padding of
    the convolution would lie. The specification does not say where `outputShape` cuts, so another
    shape than the padding gives is refused.

    Source: messages `ConvolutionLayerParams` and `SamePadding` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=4)
    images = graph.images(tensor)
    batch, channels, *lengths = images.shape
    kernel, strides = layer.pair("kernelSize", (3, 3)), layer.pair("stride", (1, 1))
    layer.pair("dilationFactor", (1, 1))  # The specification ignores it here.
    results, depth = layer.count("outputChannels"), layer.count("kernelChannels")
    groups = _groups(layer, results)
    if depth != channels or channels % groups:
        raise layer.damaged(f"{groups} groups, kernels of {depth} channels, input of {channels}")
    cuts = _cuts(layer, kernel, strides)
    spatial = tuple(
        (length - 1) * stride + size - sum(cut)
        for length, stride, size, cut in zip(lengths, strides, kernel, cuts, strict=True)
    )
    wanted = layer.sizes("outputShape")
    if wanted and wanted != spatial:
        raise layer.unsupported(f"outputShape {wanted} where the padding gives {spatial}")
    weights = layer.weights("weights", (depth, results // groups, *kernel), channel_axis=1)
    result = graph.apply(
        "ConvTranspose",
        [images, graph.constant(weights), *_bias(graph, layer, results)],
        (batch, results, *spatial),
        kernel_shape=list(kernel),
        strides=list(strides),
        group=groups,
        pads=[cuts[0][0], cuts[1][0], cuts[0][1], cuts[1][1]],
    )
    return graph.like(result, tensor)


def _cuts(layer: Layer, kernel: tuple[int, int], strides: tuple[int, int]) -> list[tuple[int, int]]:
    if not layer.parameters.has("same"):
        return list(borders(layer, layer.message("paddingAmounts", layer.message("valid"))))
    asymmetry = layer.choice("asymmetryMode", ASYMMETRY, layer.message("same"))
    totals = [size - stride for size, stride in zip(kernel, strides, strict=True)]
    if min(totals) < 0:
        raise layer.unsupported("a deconvolution with `same` whose stride exceeds its kernel")
    halves = [(total // 2, total - total // 2) for total in totals]
    return [half[::-1] for half in halves] if asymmetry == "TOP_LEFT_HEAVY" else halves


def _groups(layer: Layer, results: int) -> int:
    groups = layer.integer("nGroups") or 1
    if groups < 1 or results % groups:
        raise layer.damaged(f"{results} output channels in {groups} groups")
    return groups


def _bias(graph: LayerGraph, layer: Layer, results: int) -> list[Tensor]:
    if layer.flag("hasBias"):
        return [graph.constant(layer.weights("bias", (results,)))]
    return []


CONVOLUTION: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "convolution": convolution
}
