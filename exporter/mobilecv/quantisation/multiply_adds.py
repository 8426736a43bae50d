"""How much of a `.tflite` model's work is done in integers."""

from __future__ import annotations

import math
from typing import Any, Final

from mobilecv.quantisation.tflite_graph import TfliteGraph

LEAST_INTEGER_SHARE: Final = 0.9
"""A file that does less of its multiply-adds in integers is not called int8."""
_MULTIPLYING: Final = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}
)


def integer_share(model: bytes) -> float:
    """The share of multiply-adds whose data is integer; 1 for a model without any.

    Args:
        model: A `.tflite`, without associated files.
    """
    graph = TfliteGraph(model)
    total = integer = 0
    for op in graph.operators:
        count = multiply_adds(graph, op)
        total += count
        integer += count if count and not graph.is_float32(graph.data_input(op)) else 0
    return integer / total if total else 1.0


def multiply_adds(graph: TfliteGraph, op: Any) -> int:
    """How many multiplications with addition an operation makes for one image; 0 for the others.

    Border pixels count as all others do, as in the tables of the MobileNet papers.
    """
    name = graph.op_name(op)
    if name not in _MULTIPLYING:
        return 0
    tensors = [int(index) for index in op.inputs]
    result = math.prod(graph.shape(int(op.outputs[0])))
    match name:
        case "CONV_2D" | "FULLY_CONNECTED":
            return result * math.prod(graph.shape(tensors[1])[1:])
        case "DEPTHWISE_CONV_2D":
            return result * math.prod(graph.shape(tensors[1])[1:3])
        case "TRANSPOSE_CONV":
            return math.prod(graph.shape(tensors[2])) * math.prod(graph.shape(tensors[1])[:3])
        case _:
            return result * graph.shape(tensors[0])[-2 if op.builtinOptions.adjX else -1]
