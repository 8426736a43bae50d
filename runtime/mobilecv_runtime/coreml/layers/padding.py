"""Padding around tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.windows import borders

_MODES: Final = {"constant": "constant", "reflection": "reflect", "replication": "edge"}


def spatial_padding(graph: LayerGraph, layer: Layer) -> Tensor:
    """Pad height and width with a constant, a reflection or the border itself.

    Source: message `PaddingLayerParams` of NeuralNetwork.proto.
    """
    (tensor,) = layer.expect(1, rank=2)
    kind = layer.parameters.which(*_MODES)
    if kind is None:
        raise layer.unsupported("no type of padding")
    value = layer.message(kind).real("value") if kind == "constant" else 0.0
    if kind != "constant":
        layer.message(kind)
    rows, columns = borders(layer, layer.message("paddingAmounts"))
    height, width = tensor.shape[-2:]
    if kind == "reflection" and (max(rows) >= height or max(columns) >= width):
        raise layer.damaged(f"reflects more than its input of shape {tensor.shape} holds")
    untouched = [(0, 0)] * (tensor.rank - 2)
    return _padded(graph, tensor, [*untouched, rows, columns], _MODES[kind], value)


def constant_padding(graph: LayerGraph, layer: Layer) -> Tensor:
    """Pad any axis with a constant, by an amount or up to a size.

    Source: message `ConstantPaddingLayerParams` of NeuralNetwork.proto.
    """
    if len(layer.inputs) == 2:
        raise layer.unsupported("amounts that are computed by the network")
    tensor, amounts = layer.input, layer.parameters.integers("padAmounts")
    if len(amounts) != 2 * tensor.rank or any(not 0 <= amount < 1 << 28 for amount in amounts):
        raise layer.damaged(f"padAmounts {amounts} for an input of shape {tensor.shape}")
    edges = list(zip(amounts[0::2], amounts[1::2], strict=True))
    if layer.flag("padToGivenOutputSizeMode"):
        if any(before and after for before, after in edges):
            raise layer.damaged(f"padAmounts {amounts} give two sizes for one axis")
        edges = [
            (max(0, before - size) if before else 0, max(0, after - size) if after else 0)
            for (before, after), size in zip(edges, tensor.shape, strict=True)
        ]
    return _padded(graph, tensor, edges, "constant", layer.real("value"))


def _padded(
    graph: LayerGraph, tensor: Tensor, edges: Sequence[tuple[int, int]], mode: str, value: float
) -> Tensor:
    shape = [size + sum(edge) for size, edge in zip(tensor.shape, edges, strict=True)]
    amounts = graph.integers([before for before, _ in edges] + [after for _, after in edges])
    inputs: list[Tensor | str] = [tensor, amounts]
    if mode == "constant":
        inputs.append(graph.number(value))
    return graph.apply("Pad", inputs, shape, mode=mode)


PADDING: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "padding": spatial_padding,
    "constantPad": constant_padding,
}
