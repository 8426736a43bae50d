"""The padding of windows that slide over images, in convolutions and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.protobuf import Message

ASYMMETRY: Final = ("BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY")


@dataclass(frozen=True)
class Window:
    """How a kernel slides along one axis."""

    size: int
    """The extent of the kernel, dilation included."""
    stride: int
    before: int
    """Padding at the start of the axis."""
    after: int

    def steps(self, length: int) -> int:
        """How often the kernel fits on an axis of this length; less than 1 if it does not."""
        return (length + self.before + self.after - self.size) // self.stride + 1


def same(length: int, size: int, stride: int, asymmetry: str) -> Window:
    """The least padding that gives ceil(length / stride) steps.

    Source: message `SamePadding` of NeuralNetwork.proto.
    """
    steps = -(-length // stride)
    total = max(0, (steps - 1) * stride + size - length)
    small, large = total // 2, total - total // 2
    if asymmetry == "TOP_LEFT_HEAVY":
        return Window(size, stride, large, small)
    return Window(size, stride, small, large)


def borders(layer: Layer, amounts: Message) -> tuple[tuple[int, int], tuple[int, int]]:
    """A `BorderAmounts` as (top, bottom), (left, right); none if empty.

    Source: message `BorderAmounts` of NeuralNetwork.proto.
    """
    edges = [
        (edge.integer("startEdgeSize"), edge.integer("endEdgeSize"))
        for edge in layer.messages("borderAmounts", amounts)
    ]
    if not edges:
        return (0, 0), (0, 0)
    if len(edges) != 2:
        raise layer.damaged(f"{len(edges)} border amounts, expected 2 (height, width)")
    if any(not 0 <= amount < 1 << 28 for edge in edges for amount in edge):
        raise layer.damaged(f"border amounts {edges}, expected sizes")
    return edges[0], edges[1]


def valid_or_same(
    layer: Layer, lengths: tuple[int, int], sizes: tuple[int, int], strides: tuple[int, int]
) -> tuple[Window, Window]:
    """The windows along height and width by the fields `valid` and `same`."""
    if layer.parameters.has("same"):
        asymmetry = layer.choice("asymmetryMode", ASYMMETRY, layer.message("same"))
        axes = [
            same(length, size, stride, asymmetry)
            for length, size, stride in zip(lengths, sizes, strides, strict=True)
        ]
        return axes[0], axes[1]
    if not layer.parameters.has("valid"):
        raise layer.unsupported("no type of padding")
    edges = borders(layer, layer.message("paddingAmounts", layer.message("valid")))
    axes = [
        Window(size, stride, *edge)
        for size, stride, edge in zip(sizes, strides, edges, strict=True)
    ]
    return axes[0], axes[1]


def pads(height: Window, width: Window) -> list[int]:
    """The padding as ONNX has it: top, left, bottom, right."""
    return [height.before, width.before, height.after, width.after]
