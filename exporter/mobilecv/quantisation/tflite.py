"""Quantises float `.tflite` models with ai-edge-quantizer, on value ranges measured here.

ai-edge-quantizer's own calibration smooths the ranges over the images (a moving average), which
clips: on the MLPerf Tiny ResNet8 it cost a point of agreement and gave the image input a scale of
0.96. `ranges` does better on the same photos.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from mobilecv.quantisation.networks.interface import Floats
from mobilecv.quantisation.ranges import Range
from mobilecv.quantisation.tflite_graph import EditableTflite
from mobilecv_runtime.errors import ConversionError, guest, in_one_line

_HEAD_OPS: Final = frozenset({"SOFTMAX", "LOGISTIC", "SUB", "CONCATENATION"})


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


def to_int8(
    model: bytes,
    ranges: Mapping[str, Range],
    weight_ranges: Mapping[str, tuple[Floats, Floats]],
    in_float: Collection[str] = (),
) -> bytes:
    """Quantise weights (per channel) and activations to int8; uint8 image in, float32 scores out.

    The head (softmax or sigmoid) runs in float32 on dequantised logits: an int8 softmax has steps
    of 1/256, which rounds every probability of a 1000-class model to zero. So do divisions by
    computed values.

    Args:
        model: A float `.tflite` with the signature `serving_default`.
        ranges: Tensor name -> (low, high), of every tensor.
        weight_ranges: Tensor name -> (lows, highs) of constants, shaped to go with it; for those
            whose ranges are not their smallest and largest values.
        in_float: Operations to leave in float32, by the name of their first output.
    """
    graph = EditableTflite.of(model)
    recipe = [
        _entry("*", activation="INT"),
        _entry("INPUT", activation="UINT"),
        {"regex": ".*", "operation": "OUTPUT", "algorithm_key": "no_quantize", "op_config": {}},
        {
            "regex": _any_of({*head_outputs(graph), *_quotients(graph), *in_float}),
            "operation": "*",
            "algorithm_key": "no_quantize",
            "op_config": {},
        },
    ]
    activations = {
        name: (np.array([low], np.float32), np.array([high], np.float32))
        for name, (low, high) in ranges.items()
    }
    made = _quantise(model, recipe, {**activations, **weight_ranges})
    if any(len(op.outputs) > 1 for op in graph.operators):
        quantised = EditableTflite.of(made)
        quantised.quantise_unread_results()
        made = quantised.to_bytes()
    return made


def _any_of(names: Collection[str]) -> str:
    """A pattern for operations by the name of their first output.

    The quantiser searches it in an operation's outputs, each with a semicolon behind it. A pattern
    for each name would be compiled anew for each operation: of 128, that took 3 s of 4.
    """
    return f"^(?:{'|'.join(re.escape(name) for name in sorted(names))});"


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


def _quantise(
    model: bytes, recipe: Any, ranges: Mapping[str, tuple[Floats, Floats]] | None
) -> bytes:
    quantizer = guest("ai_edge_quantizer.quantizer", extra="tflite").Quantizer(bytearray(model))
    quantizer.load_quantization_recipe(recipe)
    calibration: Any = ranges and {
        name: {"min": lows, "max": highs} for name, (lows, highs) in ranges.items()
    }
    try:
        result = quantizer.quantize(calibration, enable_progress_report=False)
    # The quantizer raises whatever its algorithms raise.
    except Exception as error:
        raise ConversionError(f"ai-edge-quantizer: {in_one_line(error)}") from error
    return bytes(result.quantized_model)


def head_outputs(graph: EditableTflite) -> list[str]:
    """The tensors that the head's operations give: those behind the logits."""
    makers = {int(out): op for op in graph.operators for out in op.outputs}
    names, pending = [], list(graph.outputs)
    while pending:
        index = pending.pop()
        op = makers.get(index)
        if op is not None and graph.op_name(op) in _HEAD_OPS:
            names.append(graph.tensor_name(index))
            pending.extend(int(source) for source in op.inputs)
    return names


def _quotients(graph: EditableTflite) -> list[str]:
    """The tensors that come from a division by computed values.

    In int8, small divisors are rounded to zero, at which LiteRT stops.
    """
    return [
        graph.tensor_name(int(op.outputs[0]))
        for op in graph.operators
        if graph.op_name(op) == "DIV" and not graph.is_constant(int(op.inputs[1]))
    ]


def _recipes() -> Any:
    return guest("ai_edge_quantizer.recipe_manager", extra="tflite")


def _types() -> Any:
    return guest("ai_edge_quantizer.qtyping", extra="tflite")
