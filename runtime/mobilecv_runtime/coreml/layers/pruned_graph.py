"""An ONNX graph without what no output needs."""

from __future__ import annotations

from mobilecv_runtime.coreml.onnx_graph import OnnxGraph


class PrunedGraph(OnnxGraph):
    """Leaves out operations whose result is never used.

    onnxruntime runs them, and warns of constants that only they would have read.
    """

    def build(self) -> bytes:
        """The serialized model."""
        needed = {output.name for output in self._outputs}
        kept = []
        # Every operation stands behind those that it reads.
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self._nodes = kept[::-1]
        self._initializers = [value for value in self._initializers if value.name in needed]
        return super().build()
