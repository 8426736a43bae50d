"""ONNX: float32, and from that file float16 and QDQ int8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.quantisation import onnx as quantisation
from mobilecv.quantisation.findings import Findings
from mobilecv.quantisation.integer_share import check_integer_share
from mobilecv.quantisation.networks.onnx import OnnxNetwork
from mobilecv.quantisation.rescue.ladder import FloatFile, quantised
from mobilecv.targets.base import Job, Target, tensor_of_scores
from mobilecv.targets.onnx_from_tensorflow import from_tensorflow
from mobilecv.targets.onnx_from_torch import from_torch
from mobilecv.targets.onnx_order import put_in_order, sort_nodes
from mobilecv_runtime.errors import ConversionError, guest, in_one_line
from mobilecv_runtime.onnx_layers import onnx_census
from mobilecv_runtime.runners.onnx import CONTRACT_KEY, LABELS_KEY


def _convert_float(job: Job) -> None:
    match job.capture:
        case TensorFlowGraph() as graph:
            model = from_tensorflow(graph, job.contract)
        case TorchProgram() as program:
            model = from_torch(program, job.contract)
    put_in_order(model.graph)
    _write(job, model)


def _convert_float16(job: Job) -> None:
    model = quantisation.to_float16(_model(_base(job).read_bytes()))
    # It puts casts behind the nodes that read them (onnxruntime 1.31).
    sort_nodes(model.graph)
    _write(job, model)


def _convert_int8(job: Job) -> Findings:
    if job.calibration is None:
        raise ConversionError("onnx-int8 was started without calibration photos")
    base, photos = _base(job), np.load(job.calibration, mmap_mode="r")
    made = quantised(
        OnnxNetwork.of(base),
        FloatFile(path=base, answer=job.contract.head.answer),
        photos,
        np.load(job.rescue) if job.rescue else None,
    )
    model = _model(made.model)
    check_integer_share(onnx_census(model), "onnx-fp16")
    _write(job, model)
    return made.findings


def _base(job: Job) -> Path:
    if job.base is None:
        raise ConversionError("the float ONNX model that this target starts from is not there")
    return job.base


def _model(content: bytes) -> Any:
    return guest("onnx", extra="onnx").load_from_string(content)


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
    written = model.SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(written)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"no valid ONNX model came out: {in_one_line(error)}") from error
    job.output.write_bytes(written)


_SHARED: Final[dict[str, Any]] = {
    "format": "onnx",
    "extra": "onnx",
    "minimum_runtime": "ONNX Runtime 1.14",
    "input": {"name": INPUT_NAME, "dtype": "uint8", "layout": "NHWC"},
    "output": tensor_of_scores,
}

TARGETS: Final = (
    Target(
        id="onnx",
        suffix=".onnx",
        precision="float32",
        convert=_convert_float,
        tools=("onnx",),
        converters={TensorFlowGraph: ("tf2onnx",), TorchProgram: ("torch", "onnxscript")},
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
