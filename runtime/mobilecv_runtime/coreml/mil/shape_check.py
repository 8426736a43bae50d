"""Compares the shapes that an ML Program states with those that its ONNX graph yields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mobilecv_runtime.coreml.mil.values import Computed
from mobilecv_runtime.errors import BundleError, guest

_LARGEST_PARAMETER: Final = 1024
"""Elements; shape inference looks into shapes, axes and pads, never into weights."""


def check_shapes(onnx_model: bytes, computed: Sequence[Computed]) -> None:
    """Check the static shape of every result.

    Args:
        onnx_model: The lowered program.
        computed: Its results, with the shapes that the program states.

    Raises:
        BundleError: If one differs: the file is damaged, or mobilecv misreads an operation.
    """
    onnx = guest("onnx", extra="onnx")
    model = onnx.ModelProto.FromString(onnx_model)
    _turn_weights_into_inputs(model.graph, onnx)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    # Its errors share no base class but Exception.
    except Exception as error:
        raise BundleError(f"its operations do not fit each other: {error}") from error
    shapes = {info.name: _shape(info) for info in inferred.graph.value_info}
    for value in computed:
        shape = shapes.get(value.name)
        if shape is not None and shape != value.type.shape:
            raise BundleError(
                f"{value.name}: the program states the shape {value.type.shape}, "
                f"its operations give {shape}"
            )


def _turn_weights_into_inputs(graph: Any, onnx: Any) -> None:
    small = []
    for initializer in graph.initializer:
        size = 1
        for dimension in initializer.dims:
            size *= dimension
        if size <= _LARGEST_PARAMETER:
            small.append(initializer)
        else:
            graph.input.append(
                onnx.helper.make_tensor_value_info(
                    initializer.name, initializer.data_type, initializer.dims
                )
            )
    kept = [onnx.TensorProto.FromString(one.SerializeToString()) for one in small]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _shape(info: Any) -> tuple[int, ...] | None:
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return None
    dimensions = kind.shape.dim
    if any(dimension.HasField("dim_param") for dimension in dimensions):
        return None
    return tuple(dimension.dim_value for dimension in dimensions)
