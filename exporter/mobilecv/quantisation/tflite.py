"""Quantises float `.tflite` models with ai-edge-quantizer, on value ranges measured here.

ai-edge-quantizer's own calibration smooths the ranges over the images (a moving average), which
clips: on the MLPerf Tiny ResNet8 it cost a point of agreement and gave the image input a scale of
0.96. `ranges` does better on the same photos.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from mobilecv.quantisation.ranges import best_ranges
from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.spec import UInt8Array

_HEAD_OPS: Final = frozenset({"SOFTMAX", "LOGISTIC", "SUB", "CONCATENATION"})
_MULTIPLYING_OPS: Final = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}
)


def to_float16(model: bytes) -> bytes:
    """Store the weights in float16; inputs, outputs and arithmetic stay float32."""
    manager = _recipes().RecipeManager()
    manager.add_weight_only_config(
        regex=".*",
        operation_name=_types().TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        algorithm_key="float_casting",
    )
    return _quantise(model, manager.get_quantization_recipe(), None)


def to_dynamic(model: bytes) -> bytes:
    """Store the weights in int8 per channel; activations are quantised while it runs."""
    recipe = guest("ai_edge_quantizer.recipe", extra="tflite")
    return _quantise(model, recipe.dynamic_wi8_afp32(), None)


def to_int8(model: bytes, photos: UInt8Array) -> bytes:
    """Quantise weights (per channel) and activations to int8; uint8 image in, float32 scores out.

    The head (softmax or sigmoid) runs in float32 on dequantised logits: an int8 softmax has steps
    of 1/256, which rounds every probability of a 1000-class model to zero.

    Args:
        model: A float `.tflite` with the signature `serving_default`.
        photos: (count, height, width, channels), uint8: the calibration set.

    Raises:
        ConversionError: If a multiplying operation is left in float, so that the file would be
            int8 by name only.
    """
    recipe = [
        _entry("*", activation="INT"),
        _entry("INPUT", activation="UINT"),
        {"regex": ".*", "operation": "OUTPUT", "algorithm_key": "no_quantize", "op_config": {}},
        *(
            {
                "regex": re.escape(name),
                "operation": "*",
                "algorithm_key": "no_quantize",
                "op_config": {},
            }
            for name in _head_outputs(model)
        ),
    ]
    quantised = _quantise(model, recipe, best_ranges(model, photos))
    left = _float_multiplications(quantised)
    if left:
        raise ConversionError(
            f"{len(left)} operations stayed in float ({', '.join(sorted(set(left)))}), so this "
            "would not be an int8 model; use tflite-dynamic or tflite-fp16"
        )
    return quantised


def _entry(operation: str, *, activation: str) -> dict[str, Any]:
    """A line of an ai-edge-quantizer recipe: static int8, weights per channel and symmetric."""
    return {
        "regex": ".*",
        "operation": operation,
        "algorithm_key": "min_max_uniform_quantize",
        "op_config": {
            "activation_tensor_config": {
                "num_bits": 8,
                "symmetric": False,
                "granularity": "TENSORWISE",
                "dtype": activation,
            },
            "weight_tensor_config": {
                "num_bits": 8,
                "symmetric": True,
                "granularity": "CHANNELWISE",
                "dtype": "INT",
            },
            "compute_precision": "INTEGER",
            "explicit_dequantize": False,
            # The check knows int8 activations only, and would refuse a uint8 input (0.10.0).
            "skip_checks": operation == "INPUT",
            "min_weight_elements": 0,
        },
    }


def _quantise(model: bytes, recipe: Any, ranges: Mapping[str, tuple[float, float]] | None) -> bytes:
    quantizer = guest("ai_edge_quantizer.quantizer", extra="tflite").Quantizer(bytearray(model))
    quantizer.load_quantization_recipe(recipe)
    calibration: Any = ranges and {
        name: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
        for name, (low, high) in ranges.items()
    }
    try:
        result = quantizer.quantize(calibration, enable_progress_report=False)
    # The quantizer raises whatever its algorithms raise.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConversionError(f"ai-edge-quantizer: {lines[0][:300]}") from error
    return bytes(result.quantized_model)


def _head_outputs(model: bytes) -> list[str]:
    """The tensors that the head's operations give: those behind the logits."""
    graph = _Graph(model)
    makers = {int(out): op for op in graph.operators for out in op.outputs}
    names, pending = [], [int(index) for index in graph.outputs]
    while pending:
        index = pending.pop()
        op = makers.get(index)
        if op is not None and _op_name(graph, op) in _HEAD_OPS:
            names.append(_tensor_name(graph, index))
            pending.extend(int(source) for source in op.inputs)
    return names


def _float_multiplications(model: bytes) -> list[str]:
    graph = _Graph(model)
    float32 = graph.schema.TensorType.FLOAT32
    return [
        name
        for op in graph.operators
        if (name := _op_name(graph, op)) in _MULTIPLYING_OPS
        and graph.tensors[int(op.inputs[0])].type == float32
    ]


class _Graph:
    """The first subgraph of a `.tflite`, with the tables that its numbers point into."""

    def __init__(self, model: bytes) -> None:
        self.schema = guest("ai_edge_litert.schema_py_generated", extra="tflite")
        unpacked = self.schema.ModelT.InitFromObj(self.schema.Model.GetRootAs(model, 0))
        (graph,) = unpacked.subgraphs
        self.operators, self.tensors, self.outputs = graph.operators, graph.tensors, graph.outputs
        names = {
            number: name
            for name, number in vars(self.schema.BuiltinOperator).items()
            if isinstance(number, int)
        }
        self.op_names = [
            # Codes above 127 stand in the newer field only.
            names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            for code in unpacked.operatorCodes
        ]


def _op_name(graph: _Graph, op: Any) -> str:
    return str(graph.op_names[op.opcodeIndex])


def _tensor_name(graph: _Graph, index: int) -> str:
    name = graph.tensors[index].name
    return name.decode() if isinstance(name, bytes) else str(name)


def _recipes() -> Any:
    return guest("ai_edge_quantizer.recipe_manager", extra="tflite")


def _types() -> Any:
    return guest("ai_edge_quantizer.qtyping", extra="tflite")
