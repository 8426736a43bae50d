"""TFLite: float32, and from that file float16, dynamic-range int8 and full-integer int8."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.quantisation import tflite as quantisation
from mobilecv.quantisation.networks.tflite import TfliteNetwork
from mobilecv.quantisation.rescue.ladder import FloatFile, quantised
from mobilecv.quantisation.rescue.record import Record
from mobilecv.targets import tflite_metadata
from mobilecv.targets.base import Job, Target, tensor_of_scores
from mobilecv.targets.tflite_from_torch import from_torch
from mobilecv_runtime.errors import ConversionError
from mobilecv_runtime.runners.tflite import CONTRACT_FILE, LABELS_FILE
from mobilecv_runtime.spec import Contract


def _convert_float(job: Job) -> None:
    match job.capture:
        case TensorFlowGraph() as graph:
            model = _from_tensorflow(graph, job.contract)
        case TorchProgram() as program:
            model = from_torch(program, job.contract)
    _write(job, tflite_metadata.with_signature(model, INPUT_NAME, job.contract.head.output_name))


def _from_tensorflow(graph: TensorFlowGraph, contract: Contract) -> bytes:
    tf = tensorflow_module()
    network = graph.wrapped(contract, batch=1, dtype="float32")
    # The converter of frozen graphs. That of concrete functions freezes once more, at the price of
    # ten copies of the weights, and with a Keras 3 model beside them leaves the variables out
    # without a word, so that the file answers NaN (TensorFlow 2.21).
    converter = tf.compat.v1.lite.TFLiteConverter(
        network.definition, [network.image], [network.scores]
    )
    # To add its own metadata the converter would pack the whole model once more.
    converter.exclude_conversion_metadata = True
    try:
        return bytes(converter.convert())
    # The converter raises whatever its MLIR passes raise.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConversionError(f"TFLiteConverter {tf.__version__}: {lines[0][:300]}") from error


def _convert_float16(job: Job) -> None:
    _write(job, quantisation.to_float16(_base(job)))


def _convert_dynamic(job: Job) -> None:
    _write(job, quantisation.to_dynamic(_base(job)))


def _convert_int8(job: Job) -> Record | None:
    if job.calibration is None:
        raise ConversionError("tflite-int8 was started without calibration photos")
    base, photos = _base(job), np.load(job.calibration, mmap_mode="r")
    made = quantised(
        TfliteNetwork.of(base),
        FloatFile(model=base, suffix=".tflite", answer=job.contract.head.answer),
        photos,
        np.load(job.rescue) if job.rescue else None,
    )
    _write(job, quantisation.checked(made.model))
    return made.record


def _base(job: Job) -> bytes:
    if job.base is None:
        raise ConversionError("the float TFLite model that this target starts from is not there")
    return tflite_metadata.without_files(job.base.read_bytes())


def _write(job: Job, model: bytes) -> None:
    contract = job.contract
    described = tflite_metadata.with_metadata(
        model,
        name=job.name,
        description=job.description,
        channels=contract.image.channels,
        answer=contract.head.answer,
    )
    files = {
        LABELS_FILE: contract.labels.to_bytes(),
        CONTRACT_FILE: json.dumps(contract.to_json(), sort_keys=True).encode(),
    }
    tflite_metadata.write_with_files(described, files, job.output)


_FLOAT_INPUT: Final = {"name": INPUT_NAME, "dtype": "float32", "layout": "NHWC"}
_SHARED: Final[dict[str, Any]] = {
    "format": "tflite",
    "extra": "tflite",
    "minimum_runtime": "LiteRT / TFLite 2.x",
    "output": tensor_of_scores,
}
_QUANTISERS: Final = ("ai-edge-quantizer", "ai-edge-litert")

TARGETS: Final = (
    Target(
        id="tflite",
        suffix=".tflite",
        precision="float32",
        input=_FLOAT_INPUT,
        convert=_convert_float,
        converters={TensorFlowGraph: ("tensorflow",), TorchProgram: ("torch", "litert-torch")},
        **_SHARED,
    ),
    Target(
        id="tflite-fp16",
        suffix="-fp16.tflite",
        precision="float16",
        input=_FLOAT_INPUT,
        convert=_convert_float16,
        starts_from="tflite",
        tools=_QUANTISERS,
        **_SHARED,
    ),
    Target(
        id="tflite-dynamic",
        suffix="-dynamic.tflite",
        precision="int8-weights",
        input=_FLOAT_INPUT,
        convert=_convert_dynamic,
        starts_from="tflite",
        tools=_QUANTISERS,
        **_SHARED,
    ),
    Target(
        id="tflite-int8",
        suffix="-int8.tflite",
        precision="int8",
        input={
            "name": INPUT_NAME,
            "dtype": "uint8",
            "layout": "NHWC",
            "scale": 1.0,
            "zero_point": 0,
        },
        convert=_convert_int8,
        starts_from="tflite",
        needs_calibration=True,
        tools=_QUANTISERS,
        **_SHARED,
    ),
)
