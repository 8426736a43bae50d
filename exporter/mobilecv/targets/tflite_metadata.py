"""TFLite metadata: signature, description, normalisation and label file inside the `.tflite`.

Written in the public schema with the `flatbuffers` library, as MediaPipe Tasks and the TFLite Task
Library read it. Sources: the schema `tensorflow_lite_support/metadata/metadata_schema.fbs` of
https://github.com/tensorflow/tflite-support, and
https://ai.google.dev/edge/litert/conversion/tensorflow/metadata.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mobilecv.targets.base import SCORES_DESCRIPTIONS
from mobilecv.tflite_packing import pack, unpack
from mobilecv_runtime.errors import guest
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.runners.tflite import LABELS_FILE

_SIGNATURE_KEY: Final = "serving_default"
_METADATA_NAME: Final = "TFLITE_METADATA"
_MIN_PARSER_VERSION: Final = "1.0.0"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The date of the zipped files: the earliest that zip knows, so that bytes do not depend on it."""

# Numbers of metadata_schema.fbs: union members and enum values.
_IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _NORMALIZATION_OPTIONS = 2, 1, 1
_RGB, _GRAYSCALE, _TENSOR_AXIS_LABELS = 1, 2, 2


def with_names(model: bytes, input_name: str, output_name: str) -> bytes:
    """Name the tensors and add the signature `serving_default`, in the place of any other.

    A frozen graph loses its signature in TFLiteConverter; apps and quantisers look tensors up by
    it. Other tensors get short names.
    """
    schema = _schema()
    unpacked = unpack(model)
    graph = unpacked.subgraphs[0]
    _shorten_names(graph)
    for tensor, name in ((graph.inputs[0], input_name), (graph.outputs[0], output_name)):
        graph.tensors[tensor].name = name
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE_KEY, 0
    signature.inputs = [_tensor_map(schema, input_name, int(graph.inputs[0]))]
    signature.outputs = [_tensor_map(schema, output_name, int(graph.outputs[0]))]
    unpacked.signatureDefs = [signature]
    return pack(unpacked, len(model))


def _shorten_names(graph: Any) -> None:
    """Name each tensor after the last of the operations that were fused into its own.

    The converter joins the names of all of them with semicolons, and gives the constants the same
    name. What operations make keeps it, and constants are numbered.
    """
    made = {int(index) for op in graph.operators for index in op.outputs}
    order = sorted(range(len(graph.tensors)), key=lambda index: index not in made)
    taken: set[str] = set()
    for index in order:
        tensor = graph.tensors[index]
        short, number = _text(tensor.name).partition(";")[0], 0
        name = short
        while name in taken:
            number += 1
            name = f"{short}_{number}"
        taken.add(name)
        tensor.name = name


def with_metadata(
    model: bytes, *, name: str, description: str, channels: int, answer: Answer
) -> bytes:
    """Add the metadata of an image model, in the place of any other.

    Args:
        model: The flatbuffer, without associated files.
        name: The model's name.
        description: One sentence about it.
        channels: 3 for an RGB image, 1 for a gray one.
        answer: What the scores are.
    """
    schema = _schema()
    unpacked = unpack(model)
    buffer = schema.BufferT()
    buffer.data = list(_metadata(name, description, channels, answer))
    kept = [entry for entry in unpacked.metadata or [] if _text(entry.name) != _METADATA_NAME]
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA_NAME, len(unpacked.buffers)
    unpacked.buffers.append(buffer)
    unpacked.metadata = [*kept, entry]
    return pack(unpacked, len(model))


def write_with_files(model: bytes, files: Mapping[str, bytes], output: Path) -> None:
    """Write the flatbuffer and, behind it, associated files as a zip archive.

    They are stored plainly and with a fixed date. Made on the disk: in memory it would take two
    more copies of the model.
    """
    output.write_bytes(model)
    with zipfile.ZipFile(output, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def without_files(model: bytes) -> bytes:
    """The flatbuffer alone, without the zip archive behind it."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            return model[: min(info.header_offset for info in archive.infolist())]
    except zipfile.BadZipFile:
        return model


def _schema() -> Any:
    return guest("ai_edge_litert.schema_py_generated", extra="tflite")


def _text(name: str | bytes | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""


def _tensor_map(schema: Any, name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def _metadata(name: str, description: str, channels: int, answer: Answer) -> bytes:
    """A `ModelMetadata` table with one subgraph. Slots are the fields' order in the schema."""
    flatbuffers = guest("flatbuffers", extra="tflite")
    write = _TableWriter(flatbuffers.Builder(1024))
    color = write.table({0: ("int8", _RGB if channels == 3 else _GRAYSCALE)})
    image_content = write.table({0: ("uint8", _IMAGE_PROPERTIES), 1: ("offset", color)})
    # The graph takes raw 0..255 pixels, so a reader must not normalise: (x - 0) / 1.
    normalisation = write.table(
        {0: ("offset", write.floats([0.0])), 1: ("offset", write.floats([1.0]))}
    )
    unit = write.table({0: ("uint8", _NORMALIZATION_OPTIONS), 1: ("offset", normalisation)})
    stats = write.table({0: ("offset", write.floats([255.0])), 1: ("offset", write.floats([0.0]))})
    image = write.table(
        {
            0: ("offset", write.string("image")),
            1: ("offset", write.string("The upright image to classify, raw pixels 0..255.")),
            3: ("offset", image_content),
            4: ("offset", write.offsets([unit])),
            5: ("offset", stats),
        }
    )
    labels = write.table(
        {
            0: ("offset", write.string(LABELS_FILE)),
            1: ("offset", write.string("One label per line, in the order of the scores.")),
            2: ("int8", _TENSOR_AXIS_LABELS),
        }
    )
    feature = write.table({})
    score_content = write.table({0: ("uint8", _FEATURE_PROPERTIES), 1: ("offset", feature)})
    score_fields = {
        0: ("offset", write.string("value" if answer == "values" else "probability")),
        1: ("offset", write.string(SCORES_DESCRIPTIONS[answer])),
        3: ("offset", score_content),
        6: ("offset", write.offsets([labels])),
    }
    if answer != "values":  # Probabilities lie in 0..1, values anywhere.
        stats_of_scores = {0: ("offset", write.floats([1.0])), 1: ("offset", write.floats([0.0]))}
        score_fields[5] = ("offset", write.table(stats_of_scores))
    scores = write.table(score_fields)
    graph = write.table(
        {2: ("offset", write.offsets([image])), 3: ("offset", write.offsets([scores]))}
    )
    model = write.table(
        {
            0: ("offset", write.string(name)),
            1: ("offset", write.string(description)),
            3: ("offset", write.offsets([graph])),
            7: ("offset", write.string(_MIN_PARSER_VERSION)),
        }
    )
    write.builder.Finish(model, b"M001")
    return bytes(write.builder.Output())


class _TableWriter:
    """Writes flatbuffer tables whose fields are given by slot."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def string(self, text: str) -> int:
        return int(self.builder.CreateString(text))

    def floats(self, values: Sequence[float]) -> int:
        return self._vector(values, 4, self.builder.PrependFloat32)

    def offsets(self, values: Sequence[int]) -> int:
        return self._vector(values, 4, self.builder.PrependUOffsetTRelative)

    def table(self, fields: Mapping[int, tuple[str, int]]) -> int:
        prepend = {
            "int8": self.builder.PrependInt8Slot,
            "uint8": self.builder.PrependUint8Slot,
            "offset": self.builder.PrependUOffsetTRelativeSlot,
        }
        self.builder.StartObject(max(fields, default=-1) + 1)
        for slot, (kind, value) in fields.items():
            prepend[kind](slot, value, 0)
        return int(self.builder.EndObject())

    def _vector(self, values: Sequence[Any], size: int, prepend: Callable[[Any], None]) -> int:
        self.builder.StartVector(size, len(values), size)
        for value in reversed(values):
            prepend(value)
        return int(self.builder.EndVector())
