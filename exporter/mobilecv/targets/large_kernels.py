"""Finds the large weights of dense layers, for converters that copy each weight many times."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from mobilecv.captures.tensorflow import tensorflow_module

LARGE: Final = 4 << 20
"""Bytes from which on a weight is worth the detour."""


def large_kernels(definition: Any) -> list[Any]:
    """The constants that nothing but one `MatMul` reads, as its second factor.

    Args:
        definition: A GraphDef.

    Returns:
        Its nodes, each with a float32 value of (inputs, outputs).
    """
    float32 = tensorflow_module().float32.as_datatype_enum
    readers = Counter(name.partition(":")[0] for node in definition.node for name in node.input)
    passed_on = {node.name: node.input[0] for node in definition.node if node.op == "Identity"}
    kernels = {
        passed_on.get(node.input[1], node.input[1])
        for node in definition.node
        if node.op == "MatMul" and not (node.attr["transpose_a"].b or node.attr["transpose_b"].b)
    }
    return [
        node
        for node in definition.node
        if node.op == "Const"
        and node.attr["dtype"].type == float32
        and len(node.attr["value"].tensor.tensor_content) >= LARGE
        and node.name in kernels
        and readers[node.name] == 1
    ]
