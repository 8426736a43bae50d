"""Makes ONNX models of TensorFlow graphs with tf2onnx."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mobilecv.captures import TensorFlowGraph
from mobilecv.captures.interface import INPUT_NAME
from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.spec import Contract

_OPSET: Final = 17
"""The newest that tf2onnx 1.17 writes well: 18 adds a transpose, 19 is unknown to it."""


def from_tensorflow(graph: TensorFlowGraph, contract: Contract) -> Any:
    """Convert a captured graph.

    Returns:
        An ONNX model from `image`, (batch, height, width, channels), uint8, to the
        head's output.

    Raises:
        ConversionError: If tf2onnx fails.
    """
    tf2onnx = guest("tf2onnx", extra="onnx")
    function = graph.wrapped(contract, batch=None, dtype="uint8")
    try:
        with _collected_passes():
            model, _ = tf2onnx.convert.from_graph_def(
                function.graph.as_graph_def(),
                input_names=[function.inputs[0].name],
                output_names=[function.outputs[0].name],
                opset=_OPSET,
            )
    # tf2onnx raises whatever its passes raise.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConversionError(f"tf2onnx {tf2onnx.__version__}: {lines[0][:300]}") from error
    names = {
        function.inputs[0].name: INPUT_NAME,
        function.outputs[0].name: contract.head.output_name,
    }
    _rename(model.graph, names)
    return model


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Rename a graph's input and output wherever they are used."""
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, name in enumerate(tensors):
                tensors[index] = names.get(name, name)


@contextmanager
def _collected_passes() -> Iterator[None]:
    """Collect garbage after every pass of tf2onnx's optimizer.

    Each pass copies all weights into reference cycles; collecting them at once took ResNet50's
    peak from 6.6 to 2.9 GB (tf2onnx 1.17).
    """
    optimizers: dict[str, Any] = guest("tf2onnx.optimizer", extra="onnx")._optimizers
    untouched = dict(optimizers)
    for name, make in untouched.items():
        optimizers[name] = _collecting(make)
    try:
        yield
    finally:
        optimizers.update(untouched)


def _collecting(make: Any) -> Any:
    def made() -> Any:
        optimizer = make()
        optimize = optimizer.optimize

        def collected(*args: Any) -> Any:
            graph = optimize(*args)
            gc.collect()
            return graph

        optimizer.optimize = collected
        return optimizer

    return made
