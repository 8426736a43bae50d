"""TFLite: float32, and from that file float16, dynamic-range int8 and full-integer int8."""

from __future__ import annotations

import gc
import json
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.quantisation import tflite as quantisation
from mobilecv.quantisation.findings import Findings
from mobilecv.quantisation.integer_share import check_integer_share
from mobilecv.quantisation.networks.tflite import TfliteNetwork
from mobilecv.quantisation.rescue.ladder import FloatFile, quantised
from mobilecv.quantisation.tflite_graph import EditableTflite
from mobilecv.replacing import replaced
from mobilecv.targets import tflite_large_weights as large_weights
from mobilecv.targets import tflite_metadata
from mobilecv.targets.base import Job, Target, tensor_of_scores
from mobilecv.targets.tflite_from_torch import from_torch
from mobilecv_runtime.errors import ConversionError, guest, in_one_line
from mobilecv_runtime.runners.tflite import CONTRACT_FILE, LABELS_FILE
from mobilecv_runtime.spec import Contract
from mobilecv_runtime.tflite_layers import tflite_census


def _convert_float(job: Job) -> None:
    # Each step has the only hold on what the one before it gave.
    output = job.contract.head.output_name
    _write(job, tflite_metadata.with_names(_converted(job), INPUT_NAME, output))


def _converted(job: Job) -> bytes:
    match job.capture:
        case TensorFlowGraph() as graph:
            return _from_tensorflow(graph, job.contract)
        case TorchProgram() as program:
            return from_torch(program, job.contract)


def _from_tensorflow(graph: TensorFlowGraph, contract: Contract) -> bytes:
    network = graph.wrapped(contract, batch=1, dtype="float32")
    # Tensors of the graph itself would hold it, and with it another copy of the weights.
    image, scores = _alone(network.image), _alone(network.scores)
    definition, taken = large_weights.take_out(network.definition)
    written = _Written(definition)
    del network, definition
    gc.collect()
    model = _call_converter(written, image, scores)
    if not taken:
        return model
    kernels = graph.constants({each.name for each in taken.values()})
    for each in taken.values():
        kernels[each.name] *= each.factors
    by_number = {number: kernels.pop(each.name) for number, each in taken.items()}
    filled = large_weights.put_back(model, by_number)
    if filled is not None:
        return filled
    network = graph.wrapped(contract, batch=1, dtype="float32")
    return _call_converter(_Written(network.definition), image, scores)


class _Written:
    """A GraphDef as far as TFLiteConverter looks at it: its bytes, and its operations' names.

    Beside a whole one it would hold all weights twice.
    """

    def __init__(self, definition: Any) -> None:
        self.node = _operations(definition.node)
        functions = [_operations(each.node_def) for each in definition.library.function]
        self.library = SimpleNamespace(
            function=[SimpleNamespace(node_def=each) for each in functions]
        )
        self._bytes: list[bytes] = [definition.SerializeToString()]

    def SerializeToString(self) -> bytes:  # noqa: N802
        """The bytes, which can be had once."""
        return self._bytes.pop()


def _alone(tensor: Any) -> Any:
    """A tensor of the same name, type and shape in a graph of its own."""
    tf = tensorflow_module()
    with tf.Graph().as_default():
        name = tensor.name.partition(":")[0]
        return tf.compat.v1.placeholder(tensor.dtype, tensor.shape, name)


def _operations(nodes: Any) -> list[SimpleNamespace]:
    return [SimpleNamespace(op=node.op, attr={}) for node in nodes]


def _call_converter(definition: _Written, image: Any, scores: Any) -> bytes:
    tf = tensorflow_module()
    # The converter of frozen graphs. That of concrete functions freezes once more, at the price of
    # ten copies of the weights, and with a Keras 3 model beside them leaves the variables out
    # without a word, so that the file answers NaN (TensorFlow 2.21).
    converter = tf.compat.v1.lite.TFLiteConverter(definition, [image], [scores])
    # To add its own metadata the converter would pack the whole model once more.
    converter.exclude_conversion_metadata = True
    try:
        with _buffers_left():
            return bytes(converter.convert())
    # The converter raises whatever its MLIR passes raise.
    except Exception as error:
        raise ConversionError(f"TFLiteConverter {tf.__version__}: {in_one_line(error)}") from error


def _buffers_left() -> AbstractContextManager[None]:
    """Leave it to our own packing to store equal lists once.

    TensorFlow 2.21 does the same behind its converter, with five copies of the model.
    """
    module = guest("tensorflow.lite.python.lite", extra="keras")
    return replaced(module, {"_deduplicate_readonly_buffers": lambda model: model})


def _convert_float16(job: Job) -> None:
    _write(job, quantisation.to_float16(_flatbuffer(_base(job))))


def _convert_dynamic(job: Job) -> None:
    _write(job, quantisation.to_dynamic(_flatbuffer(_base(job))))


def _convert_int8(job: Job) -> Findings:
    if job.calibration is None:
        raise ConversionError("tflite-int8 was started without calibration photos")
    base, photos = _base(job), np.load(job.calibration, mmap_mode="r")
    made = quantised(
        TfliteNetwork.of(_flatbuffer(base)),
        FloatFile(path=base, answer=job.contract.head.answer),
        photos,
        np.load(job.rescue) if job.rescue else None,
    )
    census = tflite_census(EditableTflite.of(made.model))
    check_integer_share(census, "tflite-dynamic or tflite-fp16")
    _write(job, made.model)
    return made.findings


def _base(job: Job) -> Path:
    if job.base is None:
        raise ConversionError("the float TFLite model that this target starts from is not there")
    return job.base


def _flatbuffer(path: Path) -> bytes:
    return tflite_metadata.without_files(path.read_bytes())


def _write(job: Job, model: bytes) -> None:
    contract = job.contract
    described = tflite_metadata.with_metadata(
        model,
        name=job.name,
        description=job.description,
        channels=contract.image.channels,
        answer=contract.head.answer,
    )
    del model
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
