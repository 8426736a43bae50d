"""Turns float ONNX models into float16 and QDQ int8 ones, with ONNX Runtime's own tools."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from mobilecv.quantisation.ranges import Range
from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.spec import UInt8Array

_HEAD_OPS: Final = frozenset({"Softmax", "Sigmoid", "Sub", "Concat"})


def to_float16(model: Any) -> Any:
    """Compute in float16 behind the image input and before the float32 scores."""
    float16 = guest("onnxruntime.transformers.float16", extra="onnx")
    return float16.convert_float_to_float16(model, keep_io_types=True)


def to_int8(model: Any, photos: UInt8Array, input_name: str) -> Any:
    """Quantise weights (per channel) and activations to int8 as QDQ pairs.

    The head stays in float32, so that small probabilities are not rounded to zero.

    Args:
        model: A float ONNX model with a uint8 NHWC image input.
        photos: (count, height, width, channels), uint8: the calibration set.
        input_name: The name of the image input.

    Raises:
        ConversionError: If ONNX Runtime's quantiser fails.
    """
    fused = folded(model)
    return _quantise(fused, _Photos(photos, input_name), head_nodes(fused), {})


def to_int8_with(model: Any, ranges: Mapping[str, Range], in_float: Collection[str]) -> Any:
    """Quantise as `to_int8` does, on ranges that are known.

    Args:
        model: What `folded` gave.
        ranges: Tensor name -> (low, high).
        in_float: The names of nodes to leave in float32.

    Raises:
        ConversionError: If ONNX Runtime's quantiser fails.
    """
    (image,) = model.graph.input
    shape = [each.dim_value for each in image.type.tensor_type.shape.dim[1:]]
    # ONNX Runtime asks for a photo whatever else it is told.
    blank = _Photos(np.zeros((1, *shape), np.uint8), image.name)
    overrides = {
        # Its quantiser computes with float32 and refuses Python's float.
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
        for name, (low, high) in ranges.items()
    }
    return _quantise(model, blank, [*head_nodes(model), *in_float], overrides)


def folded(model: Any) -> Any:
    """The model with batch normalisation folded into the convolutions.

    Left apart, each of its steps is quantised anew: on the MLPerf Tiny ResNet8 that cost 4.5 points
    of agreement.

    Raises:
        ConversionError: If ONNX Runtime fails at it.
    """
    onnx = guest("onnx", extra="onnx")
    shapes = guest("onnxruntime.quantization.shape_inference", extra="onnx")
    with tempfile.TemporaryDirectory() as folder:
        source, fused = Path(folder, "float.onnx"), Path(folder, "fused.onnx")
        source.write_bytes(model.SerializeToString())
        with _quantiser_errors():
            shapes.quant_pre_process(str(source), str(fused))
        return onnx.load(str(fused))


def _quantise(
    model: Any, photos: _Photos, in_float: Sequence[str], overrides: Mapping[str, Any]
) -> Any:
    onnx = guest("onnx", extra="onnx")
    tools = guest("onnxruntime.quantization", extra="onnx")
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "fused.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model.SerializeToString())
        with _quantiser_errors():
            tools.quantize_static(
                str(source),
                str(output),
                photos,
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                weight_type=tools.QuantType.QInt8,
                activation_type=tools.QuantType.QUInt8,
                nodes_to_exclude=list(in_float),
                extra_options={"TensorQuantOverrides": dict(overrides)},
            )
        return onnx.load(str(output))


@contextmanager
def _quantiser_errors() -> Iterator[None]:
    try:
        yield
    # The quantiser raises whatever its operators raise.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConversionError(f"onnxruntime.quantization: {lines[0][:300]}") from error


class _Photos:
    """What onnxruntime calls a calibration data reader.

    The first photo gets one black and one white pixel, so that the image's range is 0..255 whatever
    the photos hold, and no brighter one saturates later.
    """

    def __init__(self, photos: UInt8Array, input_name: str) -> None:
        first = photos[:1].copy()
        first[0, 0, 0], first[0, -1, -1] = 0, 255
        batches = (first, *(photo[None] for photo in photos[1:]))
        self._feeds = ({input_name: batch} for batch in batches)

    def get_next(self) -> dict[str, UInt8Array] | None:
        return next(self._feeds, None)


def head_nodes(model: Any) -> list[str]:
    """The names of the nodes behind the logits."""
    makers = {output: node for node in model.graph.node for output in node.output}
    names, pending = [], [value.name for value in model.graph.output]
    while pending:
        node = makers.get(pending.pop())
        if node is not None and node.op_type in (*_HEAD_OPS, "Identity"):
            names.append(node.name)
            pending.extend(node.input)
    return names
