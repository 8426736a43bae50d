"""Builds the ONNX graph that a Core ML model is lowered to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import guest

OPSET: Final = 20
_IR_VERSION: Final = 10


class OnnxGraph:
    """A graph under construction; values are referred to by their names."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._onnx = guest("onnx", extra="onnx")
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def input(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        """Declare an input.

        Args:
            name: Its name.
            dtype: A numpy type's name, such as `float32`.
            shape: Its static shape.
        """
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Hold an array in the graph; its type is kept as it is."""
        name = self._fresh("constant")
        array = np.asarray(value, order="C")
        self._initializers.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Hold a vector of int64: a shape, axes, pads."""
        return self.constant(np.asarray(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add an operation of one result; an empty input name leaves an optional input out."""
        (result,) = self.nodes(op, inputs, 1, **attributes)
        return result

    def nodes(self, op: str, inputs: Sequence[str], results: int, **attributes: Any) -> list[str]:
        """Add an operation of several results."""
        names = [self._fresh(op) for _ in range(results)]
        self._nodes.append(self._onnx.helper.make_node(op, list(inputs), names, **attributes))
        return names

    def output(self, value: str, dtype: str, name: str) -> None:
        """Declare a value as an output of that name and numpy type."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, None))

    def build(self) -> bytes:
        """The serialized model, without operations and constants that no output needs.

        onnxruntime would run them, and warn of constants that only they would have read.
        """
        helper = self._onnx.helper
        nodes, needed = self._needed()
        constants = [value for value in self._initializers if value.name in needed]
        graph = helper.make_graph(nodes, "coreml", self._inputs, self._outputs, constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())

    def _needed(self) -> tuple[list[Any], set[str]]:
        """The operations that the outputs rest on, and the names that these read."""
        needed = {output.name for output in self._outputs}
        kept = []
        # Every operation stands behind those that it reads.
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        return kept[::-1], needed

    def _fresh(self, word: str) -> str:
        self._count += 1
        return f"{word}_{self._count}"
