"""Matrix products, and scales and biases with their own weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Shape, Tensor, broadcast


def inner_product(graph: LayerGraph, layer: Layer) -> Tensor:
    """A fully connected layer.

    Up to rank 3 it takes the last dimension; from rank 4 on channels, height and width together.

    Source: message `InnerProductLayerParams` of NeuralNetwork.proto.
    """
    _refuse_dynamic(layer)
    tensor = layer.input
    results, channels = layer.count("outputChannels"), layer.count("inputChannels")
    joined = 3 if tensor.rank >= 4 else 1
    if not 1 <= tensor.rank <= 5 or math.prod(tensor.shape[-joined:]) != channels:
        raise layer.damaged(f"inputChannels {channels} on an input of shape {tensor.shape}")
    weights = layer.weights("weights", (results, channels))
    rows = graph.reshape(tensor, (math.prod(tensor.shape[:-joined]), channels))
    inputs = [rows, graph.constant(weights)]
    if layer.flag("hasBias"):
        inputs.append(graph.constant(layer.weights("bias", (results,))))
    # Gemm takes the weights as they are stored, [C_out, C_in], and onnxruntime packs them once.
    result = graph.apply("Gemm", inputs, (rows.shape[0], results), transB=1)
    return graph.reshape(result, (*tensor.shape[:-joined], results, *(1,) * (joined - 1)))


def batched_matmul(graph: LayerGraph, layer: Layer) -> Tensor:
    """A product of two inputs, or of one input and stored weights.

    Source: message `BatchedMatMulLayerParams` of NeuralNetwork.proto.
    """
    _refuse_dynamic(layer)
    if len(layer.inputs) == 1:
        return _weighted(graph, layer)
    if layer.parameters.has("weights") or layer.flag("hasBias"):
        raise layer.unsupported("two inputs together with stored weights or a bias")
    for field in ("weightMatrixFirstDimension", "weightMatrixSecondDimension"):
        layer.integer(field)  # The specification ignores them here.
    first, second = layer.expect(2)
    if first.rank == 1:
        first = graph.reshape(first, (1, *first.shape))
    if second.rank == 1:
        second = graph.reshape(second, (*second.shape, 1))
    if layer.flag("transposeA"):
        first = _transposed(graph, first)
    if layer.flag("transposeB"):
        second = _transposed(graph, second)
    return product(graph, layer, first, second)


def _weighted(graph: LayerGraph, layer: Layer) -> Tensor:
    tensor = layer.input
    for field in ("transposeA", "transposeB"):
        layer.flag(field)  # The specification ignores them here.
    rows = layer.count("weightMatrixFirstDimension")
    columns = layer.count("weightMatrixSecondDimension")
    if tensor.shape[-1] != rows:
        raise layer.damaged(f"a matrix {rows}x{columns} on an input of shape {tensor.shape}")
    # Column-major, so row-major with the dimensions swapped.
    weights = graph.constant(layer.weights("weights", (columns, rows)).T)
    result = graph.apply("MatMul", [tensor, weights], (*tensor.shape[:-1], columns))
    if layer.flag("hasBias"):
        return graph.binary("Add", result, graph.constant(layer.weights("bias", (columns,))))
    return result


def product(graph: LayerGraph, layer: Layer, first: Tensor, second: Tensor) -> Tensor:
    """The matrix product of the last two dimensions; the others broadcast."""
    if first.shape[-1] != second.shape[-2]:
        raise layer.damaged(f"shapes {first.shape} and {second.shape} cannot be multiplied")
    leading = broadcast(first.shape[:-2] or (1,), second.shape[:-2] or (1,))
    if first.rank == second.rank == 2:
        leading = ()
    return graph.apply("MatMul", [first, second], (*leading, first.shape[-2], second.shape[-1]))


def _transposed(graph: LayerGraph, tensor: Tensor) -> Tensor:
    order = [*range(tensor.rank - 2), tensor.rank - 1, tensor.rank - 2]
    return graph.transpose(tensor, order)


def _refuse_dynamic(layer: Layer) -> None:
    if layer.flag("int8DynamicQuantize"):
        raise layer.unsupported(
            "int8DynamicQuantize, of which the specification does not say how it rounds the input"
        )


def dot(graph: LayerGraph, layer: Layer) -> Tensor:
    """The dot product of two vectors of channels, or the cosine of their angle.

    Source: message `DotProductLayerParams` of NeuralNetwork.proto.
    """
    first, second = layer.expect(2, rank=3)
    if first.shape != second.shape or first.shape[-2:] != (1, 1):
        raise layer.damaged(f"shapes {first.shape} and {second.shape}, expected vectors")
    axes = [first.rank - 3]
    total = graph.reduce("ReduceSum", graph.binary("Mul", first, second), axes)
    if not layer.flag("cosineSimilarity"):
        return total
    lengths = [graph.reduce("ReduceL2", vector, axes) for vector in (first, second)]
    return graph.binary("Div", total, graph.binary("Mul", *lengths))


def scale(graph: LayerGraph, layer: Layer) -> Tensor:
    """Scale * x + bias. Source: message `ScaleLayerParams` of NeuralNetwork.proto."""
    (tensor,) = layer.expect(1, rank=3)
    result = graph.binary("Mul", tensor, _stored(graph, layer, "scale", "shapeScale"))
    if layer.flag("hasBias"):
        result = graph.binary("Add", result, _stored(graph, layer, "bias", "shapeBias"))
    else:
        layer.sizes("shapeBias")
    return result


def bias(graph: LayerGraph, layer: Layer) -> Tensor:
    """X + bias. Source: message `BiasLayerParams` of NeuralNetwork.proto."""
    (tensor,) = layer.expect(1, rank=3)
    return graph.binary("Add", tensor, _stored(graph, layer, "bias", "shape"))


def _stored(graph: LayerGraph, layer: Layer, field: str, shape_field: str) -> Tensor:
    shape = layer.sizes(shape_field)
    tail = layer.input.shape[-3:]
    aligned: Shape = (*shape, 1, 1) if len(shape) == 1 else shape
    if len(aligned) != 3 or any(n not in (1, m) for n, m in zip(aligned, tail, strict=True)):
        raise layer.damaged(f"{shape_field} {shape} on an input of shape {layer.input.shape}")
    return graph.constant(layer.weights(field, aligned))


LINEAR: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor]]] = {
    "innerProduct": inner_product,
    "batchedMatmul": batched_matmul,
    "dot": dot,
    "scale": scale,
    "bias": bias,
}
