"""What a Core ML file says about itself: image input, outputs, labels, metadata and operations."""

from __future__ import annotations

import json
import mmap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobilecv_runtime.coreml.availability import Need, layer_type, network_need, program_need
from mobilecv_runtime.coreml.image_input import ImageFeature, described_image
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import DATA_TYPES, SCHEMA
from mobilecv_runtime.errors import BundleError

CONTRACT_KEY: Final = "mobilecv"
"""The key in the user-defined metadata under which mobilecv keeps its contract."""

VALUE_NAMES_KEY: Final = "mobilecv.values"
"""The key under which mobilecv keeps the names of a regression's values, as a JSON list: Core ML
itself has names for the classes of classifiers only."""

NETWORKS: Final = ("neuralNetworkClassifier", "neuralNetwork", "neuralNetworkRegressor")


@dataclass(frozen=True, kw_only=True)
class CoremlDescription:
    """What an `.mlmodel` or `.mlpackage` says about itself."""

    specification_version: int
    need: Need
    """What it uses that came last."""
    kind: str
    """`neuralNetworkClassifier`, `mlProgram`, ..."""
    inputs: Mapping[str, str]
    """Name -> type, as words."""
    outputs: Mapping[str, str]
    image: ImageFeature | None
    """The image input, if that is the only input."""
    predicted: str | None
    """The output with the best label."""
    probabilities: str | None
    """The output with the dictionary of probabilities."""
    labels: tuple[str, ...] | None
    """Of a classifier, or the names of a regression's values."""
    metadata: Mapping[str, str]
    """User-defined metadata, and `shortDescription`, `author`, `license`, `versionString`."""
    operations: Mapping[str, int]
    """Operation or layer type -> how often."""
    data_types: Mapping[str, int]
    """Type of an operation's result -> how often; empty for neural networks (all float32)."""
    scaler: Mapping[str, float] | None
    """A neural network's image scaler: channelScale and biases."""


def specification_file(path: Path) -> Path:
    """The file that holds the specification: the `.mlmodel` itself, or the one in a package.

    Raises:
        BundleError: If a package has no readable manifest, or names a file outside of itself.
    """
    if not path.is_dir():
        return path
    if path.suffix == ".mlmodelc" or (path / "coremldata.bin").exists():
        raise BundleError(f"{path}: a compiled model; give the .mlmodel or .mlpackage it came from")
    try:
        manifest = json.loads((path / "Manifest.json").read_bytes())
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        file = path / "Data" / str(root)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not a Core ML package (its Manifest.json: {error!r})") from (
            error
        )
    if not file.resolve().is_relative_to(path.resolve()):
        raise BundleError(f"{path}: its Manifest.json points outside of the package")
    return file


def open_specification(path: Path) -> Message:
    """The `Model` message of a Core ML file, viewed in place.

    Raises:
        BundleError: If it cannot be read, or is no Core ML model.
    """
    file = specification_file(path)
    try:
        with file.open("rb") as opened:
            data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: cannot be read ({error})") from error
    try:
        model = Message(memoryview(data), "Model", SCHEMA)
        if not 1 <= model.integer("specificationVersion") <= 1000 or not model.has("description"):
            raise BundleError("it has no specification version or no description")
    except BundleError as error:
        raise BundleError(f"{path}: not a Core ML model: {error}") from error
    return model


def read_coreml(path: Path) -> CoremlDescription:
    """Read what a Core ML file says about itself, on any operating system.

    Args:
        path: An `.mlmodel` file or an `.mlpackage` folder.

    Raises:
        BundleError: If it is damaged, compiled, or not a Core ML file.
    """
    model = open_specification(path)
    try:
        return _describe(model)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def _describe(model: Message) -> CoremlDescription:
    description = model.message("description")
    kinds = [
        field
        for field in model.present()
        if field not in ("specificationVersion", "description", "isUpdatable")
    ]
    kind = kinds[0] if kinds else ", ".join(model.unread()) or "empty"
    inputs = {feature.text("name"): feature for feature in description.messages("input")}
    outputs = {feature.text("name"): feature for feature in description.messages("output")}
    images = [described_image(feature) for feature in inputs.values()]
    operations: Counter[str] = Counter()
    data_types: Counter[str] = Counter()
    labels: tuple[str, ...] | None = None
    scaler = None
    need = Need(version=1, what="a Core ML model")
    if kind in NETWORKS:
        network = model.message(kind)
        operations.update(layer_type(layer) for layer in network.messages("layers"))
        labels = _network_labels(network)
        scaler = _scaler(network)
        need = network_need(network)
    elif kind == "mlProgram":
        program = model.message("mlProgram")
        functions = [function for _, function in program.entries("functions")]
        need = program_need([function.text("opset") for function in functions])
        for operation in program_operations(program):
            name = operation.text("type")
            operations[name] += 1
            if name != "const":
                data_types.update(_result_types(operation))
            if name == "classify":
                labels = _program_labels(operation)
    return CoremlDescription(
        specification_version=model.integer("specificationVersion"),
        need=need,
        kind=kind,
        inputs={name: _type(feature) for name, feature in inputs.items()},
        outputs={name: _type(feature) for name, feature in outputs.items()},
        image=images[0] if len(images) == 1 else None,
        predicted=description.text("predictedFeatureName") or None,
        probabilities=description.text("predictedProbabilitiesName") or None,
        labels=labels or value_names(description),
        metadata=_metadata(description.message("metadata")),
        operations=dict(operations.most_common()),
        data_types=dict(data_types.most_common()),
        scaler=scaler,
    )


def value_names(description: Message) -> tuple[str, ...] | None:
    """The names of a regression's values, if mobilecv made the file; else None."""
    text = _metadata(description.message("metadata")).get(VALUE_NAMES_KEY)
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError as error:
        raise BundleError(f"the names of its values are damaged ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BundleError("the names of its values are damaged: expected a list of texts")
    return tuple(names)


def only_output(description: Message) -> str:
    """The name of a regression's output.

    Raises:
        BundleError: If there is not just one.
    """
    names = [output.text("name") for output in description.messages("output")]
    if len(names) != 1:
        raise BundleError(f"a regression with the outputs {', '.join(names) or 'none'}, not one")
    return names[0]


def program_operations(program: Message) -> list[Message]:
    """All operations of an ML Program's functions, in order, without nested blocks."""
    return [
        operation
        for _, function in program.entries("functions")
        for _, block in function.entries("block_specializations")
        for operation in block.messages("operations")
    ]


def _type(feature: Message) -> str:
    kind = feature.message("type")
    name = next((field for field in kind.present() if field != "isOptional"), "unknown")
    image = described_image(feature)
    if image is not None:
        return f"image {image.height}x{image.width} {image.color_space}"
    if name == "multiArrayType":
        shape = kind.message(name).integers("shape")
        return f"array {'x'.join(map(str, shape))}"
    return name.removesuffix("Type")


def _network_labels(network: Message) -> tuple[str, ...] | None:
    if network.has("stringClassLabels"):
        return tuple(network.message("stringClassLabels").texts("vector"))
    if network.has("int64ClassLabels"):
        return tuple(map(str, network.message("int64ClassLabels").integers("vector")))
    return None


def _scaler(network: Message) -> Mapping[str, float] | None:
    for preprocessing in network.messages("preprocessing"):
        if preprocessing.has("scaler"):
            scaler = preprocessing.message("scaler")
            return {field: scaler.real(field) for field in scaler.present()}
    return None


def _result_types(operation: Message) -> list[str]:
    return [
        DATA_TYPES.get(output.message("type").message("tensorType").integer("dataType"), "unknown")
        for output in operation.messages("outputs")
        if output.message("type").has("tensorType")
    ]


def _program_labels(classify: Message) -> tuple[str, ...] | None:
    for name, argument in classify.entries("inputs"):
        for binding in argument.messages("arguments"):
            if name == "classes" and binding.has("value"):
                value = binding.message("value").message("immediateValue")
                listed = value.message("list").messages("values")
                values = [item.message("immediateValue") for item in listed] or [value]
                return tuple(label for item in values for label in _words(item.message("tensor")))
    return None


def _words(tensor: Message) -> list[str]:
    if tensor.has("strings"):
        return tensor.message("strings").texts("values")
    numbers = "longInts" if tensor.has("longInts") else "ints"
    return [str(number) for number in tensor.message(numbers).integers("values")]


def _metadata(metadata: Message) -> dict[str, str]:
    fields = ("shortDescription", "author", "license", "versionString")
    known = {field: metadata.text(field) for field in fields if metadata.has(field)}
    entries = metadata.messages("userDefined")
    return known | {entry.text("key"): entry.text("value") for entry in entries}
