"""Builds small ML Programs with coremltools, and runs them through the lowering."""

from __future__ import annotations

import gc
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

with redirect_stderr(sys.stdout):
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

from mobilecv_runtime.coreml.lowering import Arithmetic
from mobilecv_runtime.coreml.mil.function import FunctionLowering, graph_inputs
from mobilecv_runtime.coreml.mil.shape_check import check_shapes
from mobilecv_runtime.coreml.mil.values import Computed, Constants
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA

Build = Callable[..., Any]
"""Takes input variables and gives the variables that a program returns."""

DTYPES = {"float32": types.fp32, "float16": types.fp16}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program as coremltools writes it."""

    spec: Any
    weights: Path
    inputs: dict[str, tuple[int, ...]]

    @property
    def message(self) -> Message:
        return Message(memoryview(self.spec.SerializeToString()), "Model", SCHEMA)

    @property
    def outputs(self) -> list[str]:
        function = self.spec.mlProgram.functions["main"]
        return list(function.block_specializations[function.opset].outputs)


def program(
    build: Build,
    shapes: Sequence[tuple[int, ...]],
    folder: Path,
    *,
    dtype: str = "float32",
    target: Any = None,
) -> Program:
    """The program that a function builds from its inputs `x0`, `x1`, ..., without any pass."""
    target = ct.target.iOS16 if target is None else target
    specs = [mb.TensorSpec(shape=shape, dtype=DTYPES[dtype]) for shape in shapes]
    names = [f"x{index}" for index in range(len(shapes))]
    arguments = ", ".join(names)
    # coremltools takes the names of inputs from the function's signature.
    named = eval(f"lambda {arguments}: build({arguments})", {"build": build})
    built = mb.program(input_specs=specs, opset_version=target)(named)
    weights = folder / "weights"
    with warnings.catch_warnings():
        # coremltools leaves its temporary folders to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        model = ct.convert(
            built,
            convert_to="mlprogram",
            minimum_deployment_target=target,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        spec = model.get_spec()
        if model.weights_dir is not None:
            shutil.copytree(model.weights_dir, weights, dirs_exist_ok=True)
        del model
        gc.collect()
    return Program(spec=spec, weights=weights, inputs=dict(zip(names, shapes, strict=True)))


def lowered(
    made: Program, inputs: dict[str, np.ndarray], arithmetic: Arithmetic
) -> dict[str, np.ndarray]:
    """What the lowering of a program answers, by the names of its outputs."""
    graph = OnnxGraph()
    lowering = FunctionLowering(graph, Constants(made.weights), arithmetic)
    tensors = {
        name: (graph.input(name, "float32", shape), shape) for name, shape in made.inputs.items()
    }
    function = dict(made.message.message("mlProgram").entries("functions"))["main"]
    lowering.values.update(graph_inputs(function, tensors))
    (block,) = (block for _, block in function.entries("block_specializations"))
    for operation in block.messages("operations"):
        lowering.add(operation)
    answers = {}
    for index, name in enumerate(made.outputs):
        value = lowering.values[name]
        if isinstance(value, Computed):
            answers[name] = f"answer{index}"
            kind = "float32" if value.type.dtype == "float16" else value.type.dtype
            graph.output(value.name, kind, answers[name])
    onnx = graph.build()
    check_shapes(onnx, lowering.computed)
    fed = {name: inputs[name].astype(np.float32) for name in made.inputs}
    return dict(zip(answers, session(onnx).run(list(answers.values()), fed), strict=True))


def session(onnx: bytes) -> Any:
    """onnxruntime as the runner starts it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
