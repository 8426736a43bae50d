"""ONNX: float32, and from that file float16 and QDQ int8."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from mobilecv.captures.tensorflow import INPUT_NAME, OUTPUT_NAME
from mobilecv.quantisation import onnx as quantisation
from mobilecv.targets.base import Job, Target
from mobilecv.targets.onnx_order import put_in_order
from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.runners.onnx import CONTRACT_KEY, LABELS_KEY

_OPSET: Final = 17
"""The newest that tf2onnx 1.17 writes well: 18 adds a transpose, 19 is unknown to it."""


def _convert_float(job: Job) -> None:
    tf2onnx = guest("tf2onnx", extra="onnx")
    function = job.capture.wrapped(job.contract, batch=None, dtype="uint8")
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
    _rename(
        model.graph, {function.inputs[0].name: INPUT_NAME, function.outputs[0].name: OUTPUT_NAME}
    )
    put_in_order(model.graph)
    _write(job, model)


def _convert_float16(job: Job) -> None:
    _write(job, quantisation.to_float16(_base(job)))


def _convert_int8(job: Job) -> None:
    if job.calibration is None:
        raise ConversionError("onnx-int8 was started without calibration photos")
    photos = np.load(job.calibration, mmap_mode="r")
    _write(job, quantisation.to_int8(_base(job), photos, INPUT_NAME))


def _base(job: Job) -> Any:
    if job.base is None:
        raise ConversionError("the float ONNX model that this target starts from is not there")
    return guest("onnx", extra="onnx").load(str(job.base))


def _write(job: Job, model: Any) -> None:
    onnx = guest("onnx", extra="onnx")
    contract = job.contract
    model.producer_name, model.doc_string = "mobilecv", job.description
    model.graph.name = job.name
    onnx.helper.set_model_props(
        model,
        {
            LABELS_KEY: json.dumps(list(contract.labels.names), ensure_ascii=False),
            CONTRACT_KEY: json.dumps(contract.to_json(), sort_keys=True),
        },
    )
    onnx.checker.check_model(model)
    job.output.write_bytes(model.SerializeToString(deterministic=True))


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


_SHARED: Final[dict[str, Any]] = {
    "format": "onnx",
    "extra": "onnx",
    "minimum_runtime": "ONNX Runtime 1.14",
    "input": {"name": INPUT_NAME, "dtype": "uint8", "layout": "NHWC"},
    "output": {"name": OUTPUT_NAME, "dtype": "float32"},
}

TARGETS: Final = (
    Target(
        id="onnx",
        suffix=".onnx",
        precision="float32",
        convert=_convert_float,
        tools=("tf2onnx", "onnx"),
        **_SHARED,
    ),
    Target(
        id="onnx-fp16",
        suffix="-fp16.onnx",
        precision="float16",
        convert=_convert_float16,
        starts_from="onnx",
        tools=("onnx", "onnxruntime"),
        **_SHARED,
    ),
    Target(
        id="onnx-int8",
        suffix="-int8.onnx",
        precision="int8",
        convert=_convert_int8,
        starts_from="onnx",
        needs_calibration=True,
        tools=("onnx", "onnxruntime"),
        **_SHARED,
    ),
)
