"""Spatial pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.windows import Window, pads, valid_or_same

_KINDS: Final = ("MAX", "AVERAGE", "L2")


def pooling(graph: LayerGraph, layer: Layer) -> Tensor:
    """Maximum, average, or root of the sum of squares, in a window or over the whole image.

    Padding never wins a maximum and counts as 0 elsewhere. An average divides by the whole window,
    padding and overhang included, unless `avgPoolExcludePadding`: that is how Apple's runtime
    answers, see the numbers in https://github.com/apple/coremltools/pull/2844.

    Source: message `PoolingLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=4)
    images = graph.images(tensor)
    kind = layer.choice("type", _KINDS)
    excludes = layer.flag("avgPoolExcludePadding")
    if layer.flag("globalPooling"):
        height, width = (Window(length, 1, 0, 0) for length in images.shape[2:])
        _ignore_window(layer)
    else:
        height, width = _windows(layer, images)
    return graph.like(_pooled(graph, images, kind, (height, width), excludes=excludes), tensor)


def _pooled(
    graph: LayerGraph,
    images: Tensor,
    kind: str,
    windows: tuple[Window, Window],
    *,
    excludes: bool,
) -> Tensor:
    height, width = windows
    shape = (*images.shape[:2], height.steps(images.shape[2]), width.steps(images.shape[3]))
    attributes: dict[str, Any] = {
        "kernel_shape": [height.size, width.size],
        "strides": [height.stride, width.stride],
        "pads": pads(height, width),
    }
    if kind == "MAX":
        return graph.apply("MaxPool", [images], shape, **attributes)
    if kind == "AVERAGE":
        counted = int(not excludes)
        return graph.apply("AveragePool", [images], shape, count_include_pad=counted, **attributes)
    return graph.apply("LpPool", [images], shape, p=2, **attributes)


def _windows(layer: Layer, images: Tensor) -> tuple[Window, Window]:
    kernel, strides = layer.pair("kernelSize", (3, 3)), layer.pair("stride", (1, 1))
    lengths = images.shape[2], images.shape[3]
    if layer.parameters.has("includeLastPixel"):
        windows = _include_last_pixel(layer, lengths, kernel, strides)
    else:
        windows = valid_or_same(layer, lengths, kernel, strides)
    for window in windows:
        if max(window.before, window.after) >= window.size:
            raise layer.unsupported(
                f"padding {window.before} and {window.after} around a kernel of {window.size}, so "
                "that a window holds padding alone"
            )
    return windows


def _include_last_pixel(
    layer: Layer, lengths: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int]
) -> tuple[Window, Window]:
    """Round the number of steps up, as Caffe does; the overhang is padding too.

    Source: `ValidCompletePadding` in message `PoolingLayerParams` of NeuralNetwork.proto.
    """
    amounts = tuple(layer.message("includeLastPixel").integers("paddingAmounts")) or (0, 0)
    if len(amounts) != 2 or any(not 0 <= amount < 1 << 28 for amount in amounts):
        raise layer.damaged(f"paddingAmounts {amounts}, expected 2 sizes (height, width)")
    windows = []
    for length, size, stride, amount in zip(lengths, kernel, strides, amounts, strict=True):
        steps = -(-(length + 2 * amount - size) // stride) + 1
        if any(amounts) and (steps - 1) * stride >= length + amount:
            steps -= 1
        after = (steps - 1) * stride + size - length - amount
        # The last window may end before the padding does.
        windows.append(Window(size, stride, amount, max(0, after)))
    return windows[0], windows[1]


def _ignore_window(layer: Layer) -> None:
    """Read what global pooling leaves unused: the kernel is inferred from the image."""
    for field in ("kernelSize", "stride"):
        layer.parameters.integers(field)  # Converters write zeros.
    for field in ("valid", "same", "includeLastPixel"):
        layer.parameters.message(field)


POOLING: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {"pooling": pooling}
