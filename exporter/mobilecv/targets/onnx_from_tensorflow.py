"""Makes ONNX models of TensorFlow graphs with tf2onnx."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from mobilecv.captures import TensorFlowGraph
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.replacing import replaced
from mobilecv.targets.onnx_large_weights import put_back, take_out
from mobilecv_runtime.errors import ConversionError, guest, in_one_line
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
    try:
        # An exception that is being handled would hold the network that was spoilt.
        with suppress(_SpoiltError):
            return _converted(graph, contract, in_place=True)
        # Once more, with copies to go back to.
        return _converted(graph, contract, in_place=False)
    # tf2onnx raises whatever its passes raise.
    except Exception as error:
        raise ConversionError(f"tf2onnx {tf2onnx.__version__}: {in_one_line(error)}") from error


class _SpoiltError(Exception):
    """A pass failed, and has perhaps left the network half changed."""


def _converted(graph: TensorFlowGraph, contract: Contract, *, in_place: bool) -> Any:
    """Convert once.

    Args:
        graph: The captured graph.
        contract: What the file promises.
        in_place: Whether a pass that fails may spoil the network. Else tf2onnx copies the network
            before each pass, and goes on with the copy.
    """
    wrapped = graph.wrapped(contract, batch=None, dtype="uint8")
    image, scores = wrapped.image.name, wrapped.scores.name
    definition = wrapped.definition
    del wrapped
    taken = take_out(definition)
    inputs = [image, *(f"{name}:0" for name in taken)]
    network = _network(definition, inputs, [scores])
    del definition
    gc.collect()  # The graph of TensorFlow lies in reference cycles.
    optimizer = guest("tf2onnx.optimizer", extra="onnx")
    with _weights_left_alone():
        try:
            network = optimizer.optimize_graph(network, catch_errors=not in_place)
        # Passes raise whatever they raise.
        except Exception as error:
            raise _SpoiltError(str(error)) from error
        model = network.make_model("mobilecv")
    put_back(model, taken)
    _rename(model.graph, {image: INPUT_NAME, scores: contract.head.output_name})
    return model


def _network(definition: Any, inputs: list[str], outputs: list[str]) -> Any:
    """What tf2onnx's own `from_graph_def` does, without freezing and optimising before it.

    The graph is frozen already, and to do it again would take some ten copies of the weights.
    """
    tf2onnx, tf = guest("tf2onnx", extra="onnx"), tensorflow_module()
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        return tf2onnx.tfonnx.process_tf_graph(
            graph, opset=_OPSET, input_names=inputs, output_names=outputs
        )


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Rename a graph's input and output wherever they are used, and name a free batch."""
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
        batch = value.type.tensor_type.shape.dim[0]
        if not batch.HasField("dim_value"):  # A graph may have fixed it.
            batch.dim_param = "batch"
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, name in enumerate(tensors):
                tensors[index] = names.get(name, name)


def _weights_left_alone() -> AbstractContextManager[None]:
    """After every pass tf2onnx gives each node its attributes anew.

    A message gives its memory back only when it is gone as a whole, so that each pass costs a copy
    of all weights. Constants are read from elsewhere (tf2onnx 1.17).
    """
    node = guest("tf2onnx.graph", extra="onnx").Node
    update = node.update_proto

    def update_proto(self: Any, *arguments: Any, **options: Any) -> None:
        if not self.is_const():
            update(self, *arguments, **options)

    return replaced(node, {"update_proto": update_proto})
