"""Core ML: neural networks in float32, ML Programs in float16, and those with 8-bit weights."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeAlias

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.captures.interface import INPUT_NAME
from mobilecv.targets.base import SCORES_DESCRIPTIONS, Job, Target, tensor_of_scores
from mobilecv.targets.coreml_int8 import quantise_kernels
from mobilecv.targets.coreml_memory import few_copies
from mobilecv.targets.coreml_networks import Network, networks
from mobilecv.targets.coreml_passes import exact_passes
from mobilecv.targets.coreml_splits import split_constants_left
from mobilecv_runtime.coreml.model import CONTRACT_KEY, VALUE_NAMES_KEY, specification_file
from mobilecv_runtime.errors import ConversionError, MissingDependencyError, guest
from mobilecv_runtime.heads import Head
from mobilecv_runtime.spec import Contract

Backend: TypeAlias = Literal["neuralnetwork", "mlprogram"]

_LABEL_OUTPUT: Final = "classLabel"
_WEIGHTS: Final = "weight.bin"
_PREVIEW_KEY: Final = "com.apple.coreml.model.preview.type"
_PER_RUN_KEYS: Final = ("com.github.apple.coremltools.conversion_date",)


def _convert(job: Job, *, backend: Backend) -> None:
    ct = guest("coremltools", extra="coreml")
    spec, weights = _first_that_converts(job, backend, ct)
    # A regression has one plain output, a classifier two: the label, and the probabilities.
    scores = spec.description.predictedProbabilitiesName or spec.description.output[0].name
    ct.utils.rename_feature(spec, scores, job.contract.head.output_name)
    _describe(spec, job)
    if backend == "mlprogram":
        _save_package(spec, weights, job.output, ct)
        shutil.rmtree(weights, ignore_errors=True)
    else:
        job.output.write_bytes(spec.SerializeToString(deterministic=True))


def _first_that_converts(job: Job, backend: Backend, ct: Any) -> tuple[Any, Any]:
    """A specification, and the folder of its weights if they lie outside of it."""
    # Core ML's image input has one scale for all channels. Unequal ones stay in the graph, exactly.
    on_input = job.contract.preprocessing.has_one_scale
    reasons = []
    for network in networks(job, normalised_outside=on_input):
        image = _image_type(job, ct, network.shape, normalising=on_input)
        try:
            return _call_converter(network, image, job, backend, ct)
        except MissingDependencyError:
            raise
        # The frameworks and coremltools' passes raise whatever they raise.
        except Exception as error:
            reasons.append((network.form, error))
    said = "; ".join(f"{form}: {_first_line(error)}" for form, error in reasons)
    raise ConversionError(f"coremltools {ct.__version__}, given {said}") from reasons[0][1]


def _call_converter(
    network: Network, image: Any, job: Job, backend: Backend, ct: Any
) -> tuple[Any, Any]:
    with split_constants_left(network.source), few_copies(network.source):
        model = ct.convert(
            network.make(),
            source=network.source,
            inputs=[image],
            classifier_config=_classifier(job.contract, ct),
            convert_to=backend,
            minimum_deployment_target=ct.target.iOS15 if backend == "mlprogram" else None,
            pass_pipeline=exact_passes(ct, neural_network=backend == "neuralnetwork"),
            skip_model_load=True,
        )
        return model.get_spec(), model.weights_dir


def _classifier(contract: Contract, ct: Any) -> Any:
    """The labels of a classifier; None for a regression.

    Labels that stand by themselves make a classifier too. By the specification, nothing normalises
    the scores that it is given: `labelProbabilityLayerName` of a neural network names "the score
    vector" (NeuralNetwork.proto), and the values of `classify` "are mapped to the class labels"
    (coremltools, `mil/ops/defs/iOS15/classify.py`). `classLabel` is the most probable label.
    """
    if contract.head.answer == "values":
        return None
    return ct.ClassifierConfig(list(contract.labels.names), predicted_feature_name=_LABEL_OUTPUT)


def _image_type(job: Job, ct: Any, shape: tuple[int, ...], *, normalising: bool) -> Any:
    preprocessing, image = job.contract.preprocessing, job.contract.image
    layout = ct.colorlayout.GRAYSCALE if image.channels == 1 else ct.colorlayout.RGB
    if normalising and preprocessing.color == "BGR":
        layout = ct.colorlayout.BGR
    scale = preprocessing.scales[0] if normalising else 1.0
    biases = list(preprocessing.biases) if normalising else [0.0] * image.channels
    return ct.ImageType(
        name=INPUT_NAME,
        shape=shape,
        scale=scale,
        # A list is refused for gray neural networks (coremltools 9.0).
        bias=biases[0] if image.channels == 1 else biases,
        color_layout=layout,
    )


def _describe(spec: Any, job: Job) -> None:
    metadata = spec.description.metadata
    metadata.shortDescription = job.description
    for key in _PER_RUN_KEYS:
        metadata.userDefined.pop(key, None)
    if job.contract.head.answer == "values":
        metadata.userDefined[VALUE_NAMES_KEY] = json.dumps(list(job.contract.labels.names))
    else:
        metadata.userDefined[_PREVIEW_KEY] = "imageClassifier"
    metadata.userDefined[CONTRACT_KEY] = json.dumps(job.contract.to_json(), sort_keys=True)
    kind = "gray" if job.contract.image.channels == 1 else "colour"
    for feature in spec.description.input:
        feature.shortDescription = f"The upright {kind} image to classify"
    for feature in spec.description.output:
        feature.shortDescription = (
            "The most probable label"
            if feature.name == _LABEL_OUTPUT
            else SCORES_DESCRIPTIONS[job.contract.head.answer].removesuffix(".")
        )


def _convert_int8(job: Job) -> None:
    ct = guest("coremltools", extra="coreml")
    if job.base is None:
        raise ConversionError("the ML Program that this target starts from is not there")
    spec = ct.utils.load_spec(str(job.base))
    with TemporaryDirectory(prefix="mobilecv-") as folder:
        weights = specification_file(job.base).parent / "weights" / _WEIGHTS
        quantise_kernels(spec, weights, Path(folder) / _WEIGHTS)
        _save_package(spec, folder, job.output, ct)


def _save_package(spec: Any, weights: str, output: Path, ct: Any) -> None:
    ct.models.utils.save_spec(spec, str(output), weights_dir=weights)
    specification = next(output.glob("Data/**/*.mlmodel"))
    specification.write_bytes(spec.SerializeToString(deterministic=True))
    _fix_identifiers(output)


def _fix_identifiers(package: Path) -> None:
    """Replace the random identifiers of a package, so that the same model gives the same bytes."""
    path = package / "Manifest.json"
    manifest = json.loads(path.read_bytes())
    entries = manifest["itemInfoEntries"]
    new = {
        old: str(uuid.UUID(bytes=hashlib.sha256(entry["path"].encode()).digest()[:16], version=4))
        for old, entry in entries.items()
    }
    manifest["itemInfoEntries"] = {
        new[old]: entry for old, entry in sorted(entries.items(), key=lambda item: new[item[0]])
    }
    manifest["rootModelIdentifier"] = new[manifest["rootModelIdentifier"]]
    path.write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _output(head: Head) -> Mapping[str, Any]:
    if head.answer == "values":
        return tensor_of_scores(head)
    return {"name": head.output_name, "dtype": "dictionary", "label": _LABEL_OUTPUT}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


_INPUT: Final = {"name": INPUT_NAME, "dtype": "uint8", "layout": "image"}
_CONVERTERS: Final = {TensorFlowGraph: (), TorchProgram: ("torch",)}

TARGETS: Final = (
    Target(
        id="coreml",
        format="coreml",
        extra="coreml",
        suffix=".mlmodel",
        precision="float32",
        minimum_runtime="iOS 13",
        input=_INPUT,
        output=_output,
        convert=partial(_convert, backend="neuralnetwork"),
        tools=("coremltools",),
        converters=_CONVERTERS,
    ),
    Target(
        id="mlpackage",
        format="coreml",
        extra="coreml",
        suffix=".mlpackage",
        precision="float16",
        minimum_runtime="iOS 15",
        input=_INPUT,
        output=_output,
        convert=partial(_convert, backend="mlprogram"),
        tools=("coremltools",),
        converters=_CONVERTERS,
    ),
    Target(
        id="mlpackage-int8",
        format="coreml",
        extra="coreml",
        suffix="-int8.mlpackage",
        precision="int8-weights",
        minimum_runtime="iOS 16",
        input=_INPUT,
        output=_output,
        convert=_convert_int8,
        starts_from="mlpackage",
        tools=("coremltools",),
    ),
)
