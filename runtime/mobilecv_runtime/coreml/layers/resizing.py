"""Changes of height and width by interpolation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor, checked

_Grid: TypeAlias = Callable[[int, int], NDArray[Any]]


def upsample(graph: LayerGraph, layer: Layer) -> Tensor:
    """Enlarge by repetition of pixels, or bilinearly.

    Source: message `UpsampleLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    mode = layer.choice("mode", ("NN", "BILINEAR"))
    grid = layer.choice("linearUpsampleMode", tuple(_UPSAMPLING))
    lengths = tensor.shape[-2:]
    sizes = _scaled_sizes(layer, (lengths[0], lengths[1]))
    if mode == "BILINEAR":
        return _interpolated(graph, tensor, sizes, _UPSAMPLING[grid])
    if layer.parameters.has("fractionalScalingFactor"):
        raise layer.unsupported("fractionalScalingFactor with nearest neighbours")
    images = graph.images(tensor)
    batch, channels, height, width = images.shape
    rows, columns = sizes[0] // height, sizes[1] // width
    apart = graph.reshape(images, (batch, channels, height, 1, width, 1))
    shape = (batch, channels, height, rows, width, columns)
    repeated = graph.apply("Expand", [apart, graph.integers(shape)], shape)
    return graph.like(graph.reshape(repeated, (batch, channels, *sizes)), tensor)


def _scaled_sizes(layer: Layer, lengths: tuple[int, int]) -> tuple[int, int]:
    if not layer.parameters.has("fractionalScalingFactor"):
        factors = layer.pair("scalingFactor", (1, 1))
        return lengths[0] * factors[0], lengths[1] * factors[1]
    fractions = [float(value) for value in layer.parameters.reals("fractionalScalingFactor")]
    exact = [length * factor for length, factor in zip(lengths, fractions, strict=False)]
    if len(fractions) != 2 or not all(0.5 < size < 1 << 28 for size in exact):
        raise layer.damaged(f"fractionalScalingFactor {fractions}, expected 2 positive numbers")
    sizes = [round(size) for size in exact]
    if any(abs(size - found) > 1e-3 for size, found in zip(sizes, exact, strict=True)):
        raise layer.unsupported(
            f"fractionalScalingFactor {fractions} on {lengths}, which gives no whole size"
        )
    return sizes[0], sizes[1]


def resize_bilinear(graph: LayerGraph, layer: Layer) -> Tensor:
    """Interpolate to a given height and width.

    Source: messages `ResizeBilinearLayerParams` and `SamplingMode` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=3)
    method = layer.choice("samplingMethod", tuple(_SAMPLING), layer.message("mode"))
    return _interpolated(graph, tensor, layer.pair("targetSize", (1, 1)), _SAMPLING[method])


def _interpolated(graph: LayerGraph, tensor: Tensor, sizes: tuple[int, int], grid: _Grid) -> Tensor:
    """Read the image at grid points, between its pixels.

    Two matrix products, so that the grid is the specification's own and no other's.
    """
    height, width = tensor.shape[-2:]
    # Before matrices of that size are made.
    result = checked((*tensor.shape[:-2], *sizes))
    for length, size in ((height, sizes[0]), (width, sizes[1])):
        checked((length, size))
    down = graph.constant(_between(grid(height, sizes[0]), height))
    across = graph.constant(_between(grid(width, sizes[1]), width).T)
    tall = graph.apply("MatMul", [down, tensor], (*tensor.shape[:-2], sizes[0], width))
    return graph.apply("MatMul", [tall, across], result)


def _between(points: NDArray[Any], length: int) -> NDArray[Any]:
    """The matrix that reads an axis at these points, linearly between its values."""
    points = np.clip(points, 0, length - 1)
    below = np.floor(points).astype(int)
    above = np.minimum(below + 1, length - 1)
    matrix = np.zeros((len(points), length))
    rows = np.arange(len(points))
    np.add.at(matrix, (rows, below), 1 - (points - below))
    np.add.at(matrix, (rows, above), points - below)
    return matrix.astype(np.float32)


def _default(length: int, size: int) -> NDArray[Any]:
    spacing = (length - length / size) / (size - 1) if size > 1 else 0.0
    return np.arange(size) * spacing


def _aligned(length: int, size: int) -> NDArray[Any]:
    spacing = (length - 1) / (size - 1) if size > 1 else 0.0
    return np.arange(size) * spacing


def _half_pixels(length: int, size: int) -> NDArray[Any]:
    spacing = length / size
    return np.arange(size) * spacing + 0.5 * spacing - 0.5


def _aligned_or_centre(length: int, size: int) -> NDArray[Any]:
    return _aligned(length, size) if size > 1 else np.asarray([(length - 1) / 2])


def _ratio(length: int, size: int) -> NDArray[Any]:
    return np.linspace(0, length - length / size, size)


def _regions(length: int, size: int) -> NDArray[Any]:
    spacing = max(1, length - 1) / size
    return np.linspace(0.5 * spacing, 0.5 * spacing + (size - 1) * spacing, size)


_UPSAMPLING: Final[Mapping[str, _Grid]] = {
    "DEFAULT": _default,
    "ALIGN_CORNERS_TRUE": _aligned,
    "ALIGN_CORNERS_FALSE": _half_pixels,
}
_SAMPLING: Final[Mapping[str, _Grid]] = {
    "STRICT_ALIGN_ENDPOINTS_MODE": _aligned,
    "ALIGN_ENDPOINTS_MODE": _aligned_or_centre,
    "UPSAMPLE_MODE": _ratio,
    "ROI_ALIGN_MODE": _regions,
}

RESIZING: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "upsample": upsample,
    "resizeBilinear": resize_bilinear,
}
