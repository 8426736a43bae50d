"""Runs single neural-network layers, written with coremltools' own protobuf classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from mobilecv_runtime.coreml.layers import Tensor
from mobilecv_runtime.coreml.lowering import Arithmetic
from mobilecv_runtime.coreml.neural_network import NetworkGraph, lower_layer
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA


def layer_bytes(kind: str, parameters: dict[str, Any], inputs: int, outputs: int = 1) -> bytes:
    """A serialized layer with inputs x0, x1, ... and outputs y0, y1, ..."""
    from coremltools.proto.NeuralNetwork_pb2 import NeuralNetworkLayer

    layer = NeuralNetworkLayer(
        name="the_layer",
        input=[f"x{i}" for i in range(inputs)],
        output=[f"y{i}" for i in range(outputs)],
        **{kind: parameters},
    )
    return layer.SerializeToString()


def run_layer(
    kind: str,
    parameters: dict[str, Any],
    *inputs: Any,
    outputs: int = 1,
    arithmetic: Arithmetic = "stored",
) -> Any:
    """Lower a layer, run it in onnxruntime, and hold the shapes to what was worked out."""
    message = layer_bytes(kind, parameters, len(inputs), outputs)
    return run_bytes(message, *inputs, arithmetic=arithmetic)


def run_bytes(layer: bytes, *inputs: Any, arithmetic: Arithmetic = "stored") -> Any:
    """The same for a serialized layer."""
    arrays = {f"x{i}": np.asarray(value, np.float32) for i, value in enumerate(inputs)}
    onnx = OnnxGraph()
    graph = NetworkGraph(onnx, arithmetic)
    for name, array in arrays.items():
        graph.values[name] = Tensor(onnx.input(name, "float32", array.shape), array.shape)
    lower_layer(graph, Message(memoryview(layer), "NeuralNetworkLayer", SCHEMA))
    results = {name: value for name, value in graph.values.items() if name not in arrays}
    for name, tensor in results.items():
        onnx.output(tensor.name, "float32", name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx.build(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(list(results), arrays if session.get_inputs() else {})
    for value, tensor in zip(found, results.values(), strict=True):
        assert value.shape == tensor.shape
    return found[0] if len(found) == 1 else found


def values(*shape: int, seed: int = 0) -> Any:
    """Random float32 values of a shape, of both signs."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def weights(array: Any) -> dict[str, Any]:
    """An array as a `WeightParams`."""
    return {"floatValue": np.asarray(array, np.float32).ravel()}
