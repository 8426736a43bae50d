"""Makes ONNX models of TensorFlow graphs with tf2onnx."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mobilecv.captures import TensorFlowGraph
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.targets.onnx_large_weights import put_back, take_out
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
    wrapped = graph.wrapped(contract, batch=None, dtype="uint8")
    image, scores = wrapped.image.name, wrapped.scores.name
    definition = wrapped.definition
    del wrapped
    taken = take_out(definition)
    try:
        with _collected_passes():
            model = _convert(definition, [image, *(f"{name}:0" for name in taken)], [scores])
    # tf2onnx raises whatever its passes raise.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConversionError(f"tf2onnx {tf2onnx.__version__}: {lines[0][:300]}") from error
    put_back(model, taken)
    _rename(model.graph, {image: INPUT_NAME, scores: contract.head.output_name})
    return model


def _convert(definition: Any, inputs: list[str], outputs: list[str]) -> Any:
    """What tf2onnx's own `from_graph_def` does, without freezing and optimising before it.

    The graph is frozen already, and to do it again would take some ten copies of the weights.
    """
    tf2onnx, tf = guest("tf2onnx", extra="onnx"), tensorflow_module()
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        del definition
        converted = tf2onnx.tfonnx.process_tf_graph(
            graph, opset=_OPSET, input_names=inputs, output_names=outputs
        )
    return tf2onnx.optimizer.optimize_graph(converted).make_model("mobilecv")


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
