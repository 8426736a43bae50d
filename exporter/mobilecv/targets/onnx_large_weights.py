"""Takes the large weights of dense layers around tf2onnx, which holds every weight many times.

With tf2onnx 1.17 a weight costs some 17 times its size while it is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.targets.linear_layers import linear_layers
from mobilecv_runtime.errors import guest

LARGE: Final = 4 << 20
"""Bytes from which on a kernel is worth the detour."""


def take_out(definition: Any) -> dict[str, Any]:
    """Turn the large kernels of dense layers into inputs of a graph.

    Those of `MatMul` alone: its kernel has the same layout in ONNX, and tf2onnx has nothing to fold
    into it.

    Args:
        definition: A GraphDef; it is changed.

    Returns:
        Name of the new input -> its value, a TensorProto of TensorFlow.
    """
    layers = linear_layers(definition, LARGE)
    kernels = [layer.kernel for layer in layers if layer.operation == "MatMul"]
    return {kernel.name: _to_input(kernel) for kernel in kernels}


def put_back(model: Any, taken: Mapping[str, Any]) -> None:
    """Turn inputs of an ONNX model back into the weights that they stand for.

    Args:
        model: Has an input for every weight, named as TensorFlow names a tensor; it is changed.
        taken: What `take_out` returned.
    """
    onnx = guest("onnx", extra="onnx")
    for name, value in taken.items():
        (place,) = (entry for entry in model.graph.input if entry.name == f"{name}:0")
        weight = model.graph.initializer.add()
        weight.name, weight.data_type = place.name, onnx.TensorProto.FLOAT
        weight.dims.extend(dimension.size for dimension in value.tensor_shape.dim)
        weight.raw_data = value.tensor_content
        model.graph.input.remove(place)


def _to_input(node: Any) -> Any:
    """Make a placeholder of a constant, and return its value."""
    value = tensorflow_module().compat.v1.AttrValue()
    value.CopyFrom(node.attr["value"])
    kind, shape = node.attr["dtype"].type, value.tensor.tensor_shape
    node.op = "Placeholder"
    node.attr.clear()
    node.attr["dtype"].type = kind
    node.attr["shape"].shape.CopyFrom(shape)
    return value.tensor
