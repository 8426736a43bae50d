"""What a model file holds: inputs, outputs, labels, preprocessing, operations and data types."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mobilecv_runtime.census import DAMAGE, Census
from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.coreml.model import CONTRACT_KEY as COREML_CONTRACT_KEY
from mobilecv_runtime.coreml.model import NETWORKS, read_coreml
from mobilecv_runtime.coreml.network_layers import network_census
from mobilecv_runtime.coreml.program_layers import program_census
from mobilecv_runtime.coreml.schema import MINIMUM_IOS
from mobilecv_runtime.digests import size_of
from mobilecv_runtime.errors import BundleError, guest
from mobilecv_runtime.onnx_layers import onnx_census, read_onnx
from mobilecv_runtime.runners.onnx import CONTRACT_KEY, LABELS_KEY
from mobilecv_runtime.runners.tflite import CONTRACT_FILE, LABELS_FILE, associated_file
from mobilecv_runtime.spec import Labels
from mobilecv_runtime.tflite_age import minimum_release
from mobilecv_runtime.tflite_layers import TfliteGraph, quantisation_of, text, tflite_census


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output."""

    name: str
    type: str
    """Data type and shape in words, such as `uint8 1x32x32x3`, with quantisation if any."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What one file holds."""

    file: str
    format: str
    bytes: int
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    labels: Sequence[str] | None
    """None if the file carries none."""
    contract: Mapping[str, Any] | None
    """Image, preprocessing and head as mobilecv wrote them; None for a foreign file."""
    operations: Mapping[str, int]
    """Operation or layer type -> how often, the most frequent first."""
    data_types: Mapping[str, int]
    """Data type -> how many of the stored weights have it, or of the results where weights are
    not typed."""
    parameters: int | None = None
    """The number of weights; None where it is not known."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    census: Census | None = None
    """Its layers, counted; None for formats that are not counted."""
    not_counted: str | None = None
    """Why its layers could not be counted, where those of its format are."""
    minimum_runtime: str | None = None
    """The oldest runtime that computes it rightly, such as `TFLite 1.14`; None if the format tells
    in other words, or not."""

    def to_json(self, *, layers: bool = False) -> dict[str, Any]:
        """The inspection as JSON values, with or without each layer."""
        counted = self.census.to_json(layers=layers) if self.census else None
        return {**asdict(replace(self, census=None)), "census": counted}


def inspect(path: Path) -> Inspection:
    """Look into an artifact without running it.

    Args:
        path: A `.tflite`, `.onnx` or `.mlmodel` file, or an `.mlpackage` folder.

    Raises:
        BundleError: If it is missing, damaged, or of an unknown kind.
        MissingDependencyError: If the package that parses it is not installed.
    """
    if not path.exists():
        raise BundleError(f"{path}: no such file")
    inspector = INSPECTORS.get(path.suffix.lower())
    if inspector is None:
        raise BundleError(f"{path}: unknown kind of file; known are {', '.join(INSPECTORS)}")
    try:
        return inspector(path)
    except DAMAGE as error:
        raise BundleError(f"{path}: damaged ({error!r})") from error


def _inspect_coreml(path: Path) -> Inspection:
    found = read_coreml(path)
    metadata = dict(found.metadata)
    contract = metadata.pop(COREML_CONTRACT_KEY, None)
    version = found.specification_version
    needs = MINIMUM_IOS.get(version, "a later iOS than this mobilecv knows")
    scaler = (
        {"scaler": ", ".join(f"{k} {v:g}" for k, v in found.scaler.items())}
        if (found.scaler)
        else {}
    )
    census, not_counted = _coreml_census(path, found.kind)
    return Inspection(
        file=str(path),
        format=f"Core ML {found.kind}, specification {version} ({needs})",
        bytes=size_of(path),
        inputs=[Tensor(name=name, type=kind) for name, kind in found.inputs.items()],
        outputs=[Tensor(name=name, type=kind) for name, kind in found.outputs.items()],
        labels=found.labels,
        contract=json.loads(contract) if contract else None,
        operations=found.operations,
        data_types=found.data_types,
        metadata={**metadata, **scaler},
        minimum_runtime=MINIMUM_IOS.get(version),
        census=census,
        not_counted=not_counted,
    )


def _coreml_census(path: Path, kind: str) -> tuple[Census | None, str | None]:
    """The census, or why there is none."""
    if kind == "mlProgram":
        return program_census(path), None
    if kind not in NETWORKS:
        return None, None
    try:
        return network_census(path), None
    except UnsupportedError as error:
        return None, str(error)


def _inspect_tflite(path: Path) -> Inspection:
    graph = TfliteGraph.read(path)
    sizes: Counter[str] = Counter()
    for index in range(len(graph.tensors)):
        if graph.is_constant(index):
            sizes[graph.type_of(index)] += math.prod(graph.shape_of(index))
    labels = associated_file(path, LABELS_FILE)
    contract = associated_file(path, CONTRACT_FILE)
    census = tflite_census(graph)
    return Inspection(
        file=str(path),
        format=f"TFLite, schema {graph.model.version}",
        bytes=size_of(path),
        inputs=[_tflite_tensor(graph, index) for index in graph.inputs],
        outputs=[_tflite_tensor(graph, index) for index in graph.outputs],
        labels=Labels.parse(labels, origin=str(path)).names if labels else None,
        contract=json.loads(contract) if contract else None,
        operations=dict(
            Counter(
                graph.op_name(op) for each in graph.model.subgraphs for op in each.operators
            ).most_common()
        ),
        data_types=dict(sizes.most_common()),
        parameters=sum(sizes.values()),
        metadata={"description": words} if (words := text(graph.model.description)) else {},
        census=census,
        minimum_runtime=minimum_release(census.layers, graph.noted_runtime),
    )


def _tflite_tensor(graph: TfliteGraph, index: int) -> Tensor:
    tensor = graph.tensors[index]
    words = f"{graph.type_of(index)} {'x'.join(map(str, graph.shape_of(index)))}"
    quantisation = quantisation_of(tensor)
    if quantisation is not None:
        scale, zero_point = quantisation
        words += f", scale {scale:g}, zero point {zero_point}"
    return Tensor(name=text(tensor.name), type=words)


def _inspect_onnx(path: Path) -> Inspection:
    onnx = guest("onnx", extra="onnx")
    model = read_onnx(path)
    sizes: Counter[str] = Counter()
    for weight in model.graph.initializer:
        kind = onnx.TensorProto.DataType.Name(weight.data_type).lower()
        sizes[kind] += math.prod(weight.dims)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    labels, contract = metadata.pop(LABELS_KEY, None), metadata.pop(CONTRACT_KEY, None)
    opset = next((entry.version for entry in model.opset_import if not entry.domain), 0)
    return Inspection(
        file=str(path),
        format=f"ONNX, IR {model.ir_version}, opset {opset}",
        bytes=size_of(path),
        inputs=[_onnx_tensor(value, onnx) for value in model.graph.input],
        outputs=[_onnx_tensor(value, onnx) for value in model.graph.output],
        labels=json.loads(labels) if labels else None,
        contract=json.loads(contract) if contract else None,
        operations=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        data_types=dict(sizes.most_common()),
        parameters=sum(sizes.values()),
        metadata={**metadata, **({"description": model.doc_string} if model.doc_string else {})},
        census=onnx_census(model),
    )


def _onnx_tensor(value: Any, onnx: Any) -> Tensor:
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    sizes = (size.dim_param or size.dim_value or "?" for size in tensor.shape.dim)
    return Tensor(name=value.name, type=f"{kind} {'x'.join(map(str, sizes))}")


INSPECTORS: Final[Mapping[str, Callable[[Path], Inspection]]] = {
    ".tflite": _inspect_tflite,
    ".onnx": _inspect_onnx,
    ".mlmodel": _inspect_coreml,
    ".mlpackage": _inspect_coreml,
}
