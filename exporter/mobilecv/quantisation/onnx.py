"""Turns float ONNX models into float16 and QDQ int8 ones, with ONNX Runtime's own tools."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv.quantisation.ranges import LARGEST_WEIGHT, Range
from mobilecv_runtime.errors import ConversionError, guest, in_one_line

_HEAD_OPS: Final = frozenset({"Softmax", "Sigmoid", "Sub", "Concat"})


def to_float16(model: Any) -> Any:
    """Compute in float16 behind the image input and before the float32 scores."""
    float16 = guest("onnxruntime.transformers.float16", extra="onnx")
    # ONNX Runtime's tool does not know that these take no float16 before opset 20.
    left = [*float16.DEFAULT_OP_BLOCK_LIST, "IsInf", "IsNaN"]
    return float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=left)


def to_int8(
    model: Any,
    ranges: Mapping[str, Range],
    weight_steps: Mapping[str, tuple[int, NDArray[np.float64]]],
    in_float: Collection[str],
) -> Any:
    """Quantise weights (per channel) and activations to int8 as QDQ pairs.

    The head stays in float32, so that small probabilities are not rounded to zero. Weights are
    symmetric, and stored as uint8 with the zero point 128.

    Args:
        model: What `folded` gave.
        ranges: Tensor name -> (low, high).
        weight_steps: Constant -> (the axis of its output channels, (channels,) steps), for those
            with other steps than their largest values give.
        in_float: The names of nodes to leave in float32.

    Raises:
        ConversionError: If ONNX Runtime's quantiser fails.
    """
    # Its quantiser computes with float32 and refuses Python's float.
    overrides: dict[str, list[dict[str, Any]]] = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
        for name, (low, high) in ranges.items()
    }
    for name, (axis, steps) in weight_steps.items():
        highs = (LARGEST_WEIGHT * steps).astype(np.float32)
        overrides[name] = [{"axis": axis, "rmin": -high, "rmax": high} for high in highs]
    made = _quantise(model, ranges, [*head_nodes(model), *in_float], overrides)
    _store_weights_unsigned(made)
    return made


def folded(source: Path) -> Any:
    """The model of a file with batch normalisation folded into the convolutions.

    Left apart, each of its steps is quantised anew: on the MLPerf Tiny ResNet8 that cost 4.5 points
    of agreement.

    Raises:
        ConversionError: If ONNX Runtime fails at it.
    """
    onnx = guest("onnx", extra="onnx")
    shapes = guest("onnxruntime.quantization.shape_inference", extra="onnx")
    with tempfile.TemporaryDirectory() as folder:
        fused = Path(folder, "fused.onnx")
        with _quantiser_errors():
            # Symbolic shapes take three times as long as the rest, and nothing here needs them.
            shapes.quant_pre_process(str(source), str(fused), skip_symbolic_shape=True)
        return onnx.load(str(fused))


def _quantise(
    model: Any,
    ranges: Mapping[str, Range],
    in_float: Sequence[str],
    overrides: Mapping[str, Any],
) -> Any:
    """What `quantize_static` does behind its calibration, whose ranges `overrides` would replace.

    That calibration alone, on one blank image, took longer than the rest, and held the network
    three times more.
    """
    quantiser = guest("onnxruntime.quantization.qdq_quantizer", extra="onnx")
    calibration = guest("onnxruntime.quantization.calibrate", extra="onnx")
    registry = guest("onnxruntime.quantization.registry", extra="onnx")
    shapes = guest("onnxruntime.quantization.quant_utils", extra="onnx")
    copy = type(model)()
    copy.CopyFrom(model)
    made = {name for node in copy.graph.node for name in node.output}
    if made <= {value.name for value in (*copy.graph.value_info, *copy.graph.output)}:
        # `folded` leaves all shapes in a model, which would be inferred again otherwise.
        shapes.add_infer_metadata(copy)
    extremes = {name: tuple(np.float32(each) for each in ranges[name]) for name in ranges}
    with _quantiser_errors():
        tools = quantiser.QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=shapes.QuantType.QInt8,
            activation_qType=shapes.QuantType.QUInt8,
            tensors_range=calibration.TensorsData(calibration.CalibrationMethod.MinMax, extremes),
            nodes_to_quantize=[],
            nodes_to_exclude=list(in_float),
            op_types_to_quantize=[*registry.QLinearOpsRegistry, *registry.QDQRegistry],
            extra_options={"TensorQuantOverrides": dict(overrides)},
        )
        tools.quantize_model()
        tools.model.topological_sort()
    return tools.model.model


def _store_weights_unsigned(model: Any) -> None:
    """Store int8 weights as uint8, every level and zero point 128 higher: the same values.

    On x86 processors without VNNI, ONNX Runtime multiplies uint8 by int8 two pairs at a time into
    16 bits, and clips the sum (https://onnxruntime.ai/docs/performance/model-optimizations/
    quantization.html, "When and why do I need to try U8U8?"). On an AMD EPYC with AVX2, a
    MobileNetV2 agreed with its source on 32 % of 60 photos so, and on 72 % with unsigned weights,
    as it does when computed exactly; it took 11.4 ms instead of 8.4.
    """
    onnx = guest("onnx", extra="onnx")
    constants = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        values = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if values is None or values.data_type != onnx.TensorProto.INT8:
            continue
        for constant in (values, constants[node.input[2]]):
            levels = onnx.numpy_helper.to_array(constant).astype(np.int16) + 128
            unsigned = onnx.numpy_helper.from_array(levels.astype(np.uint8), constant.name)
            constant.CopyFrom(unsigned)


@contextmanager
def _quantiser_errors() -> Iterator[None]:
    try:
        yield
    # The quantiser raises whatever its operators raise.
    except Exception as error:
        raise ConversionError(f"onnxruntime.quantization: {in_one_line(error)}") from error


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
