from __future__ import annotations

import numpy as np
import onnx

from mobilecv_runtime.coreml.onnx_graph import OnnxGraph


def test_what_no_output_needs_is_left_out_with_its_constants() -> None:
    graph = OnnxGraph()
    image = graph.input("image", "float32", [2])
    used = graph.node("Add", [image, graph.constant(np.ones(2, np.float32))])
    unused = graph.node("Mul", [used, graph.constant(np.zeros(2, np.float32))])
    graph.node("Neg", [unused])
    graph.output(used, "float32", "answer")
    built = onnx.ModelProto.FromString(graph.build()).graph
    assert [node.op_type for node in built.node] == ["Add", "Identity"]
    assert [constant.name for constant in built.initializer] == [built.node[0].input[1]]


def test_an_optional_input_that_is_left_out_needs_nothing() -> None:
    graph = OnnxGraph()
    image = graph.input("image", "float32", [2])
    limit = graph.constant(np.asarray(6, np.float32))
    graph.output(graph.node("Clip", [image, "", limit]), "float32", "answer")
    built = onnx.ModelProto.FromString(graph.build()).graph
    assert [node.op_type for node in built.node] == ["Clip", "Identity"]
    assert [constant.name for constant in built.initializer] == [limit]
