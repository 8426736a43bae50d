"""Lowers a classifier that is an ML Program to an ONNX graph.

Source: `mlmodel/format/{Model,FeatureTypes,MIL}.proto` of https://github.com/apple/coremltools
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mobilecv_runtime.coreml.availability import OPSETS
from mobilecv_runtime.coreml.image_input import image_values, only_image
from mobilecv_runtime.coreml.lowering import (
    SCORES,
    Arithmetic,
    Lowered,
    UnsupportedError,
    refuse_unread,
)
from mobilecv_runtime.coreml.mil.call import Argument, Call
from mobilecv_runtime.coreml.mil.function import Classes, FunctionLowering, graph_inputs
from mobilecv_runtime.coreml.mil.shape_check import check_shapes
from mobilecv_runtime.coreml.mil.values import Constants
from mobilecv_runtime.coreml.model import only_output, value_names
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

_PROGRAM_VERSION: Final = 1
_LONGEST_MESSAGE: Final = 500
_INFORMATIVE_ATTRIBUTES: Final = ("buildInfo",)
"""Attributes of a program that say how it was made."""


def lower_ml_program(model: Message, weights_folder: Path, arithmetic: Arithmetic) -> Lowered:
    """Lower an ML Program that classifies one image.

    Args:
        model: The `Model` message.
        weights_folder: The package's folder `weights`.
        arithmetic: Whether float16 values are rounded.

    Raises:
        UnsupportedError: If something in it is not understood.
        BundleError: If it is damaged, or no classifier of one image.
    """
    try:
        return _lower(model, weights_folder, arithmetic)
    except BundleError as error:
        raise type(error)(_one_line(str(error))) from error


def _one_line(message: str) -> str:
    """A message whose names, which come from the file, cannot break out of its line."""
    printable = "".join(letter if letter.isprintable() else " " for letter in message)
    return printable.strip()[:_LONGEST_MESSAGE]


def _lower(model: Message, weights_folder: Path, arithmetic: Arithmetic) -> Lowered:
    description = model.message("description")
    image = only_image(description)
    function = _main_function(model)
    graph = OnnxGraph()
    lowering = FunctionLowering(graph, Constants(weights_folder), arithmetic)
    pixels = image_values(graph, image)
    shape = (1, image.channels, image.height, image.width)
    lowering.values.update(graph_inputs(function, {image.name: (pixels, shape)}))
    block = _only_block(function)
    for operation in block.messages("operations"):
        lowering.add(operation)
    scores, labels = _scores(lowering, block.texts("outputs"), description)
    refuse_unread(block, "the program's block")
    _refuse_unread(model, description)
    graph.output(_row_of_scores(graph, scores, len(labels)), "float32", SCORES)
    onnx = graph.build()
    check_shapes(onnx, lowering.computed)
    return Lowered(onnx=onnx, labels=labels)


def _scores(
    lowering: FunctionLowering, outputs: list[str], description: Message
) -> tuple[Argument, tuple[str, ...]]:
    """What the program answers, and the labels or names of that."""
    names = value_names(description)
    if lowering.classes is not None or names is None:
        classes = _checked_classes(lowering.classes, outputs, description)
        return classes.probabilities, classes.labels
    output = only_output(description)
    if outputs != [output] or output not in lowering.values:
        raise BundleError(f"the model is said to give {output}, its program gives {outputs}")
    values = lowering.values[output]
    if values.type.size != len(names):
        raise BundleError(f"{values.type.size} values for {len(names)} names")
    return values, names


def _main_function(model: Message) -> Message:
    program = model.message("mlProgram")
    functions = dict(program.entries("functions"))
    if program.integer("version") != _PROGRAM_VERSION:
        raise UnsupportedError(f"an ML Program of version {program.integer('version')}")
    if functions.keys() != {"main"}:
        raise UnsupportedError(f"its functions are {', '.join(functions)}, not just main")
    program.text("docString")
    unknown = {key for key, _ in program.entries("attributes")} - {*_INFORMATIVE_ATTRIBUTES}
    if unknown:
        raise UnsupportedError(f"the program has the unknown attributes {', '.join(unknown)}")
    refuse_unread(program, "the program")
    return functions["main"]


def _only_block(function: Message) -> Message:
    opset = function.text("opset")
    if opset not in OPSETS:
        raise UnsupportedError(f"the operation set {opset!r}; mobilecv knows {', '.join(OPSETS)}")
    blocks = dict(function.entries("block_specializations"))
    if blocks.keys() != {opset}:
        raise UnsupportedError(f"its blocks are for {', '.join(blocks)}, not just for {opset}")
    refuse_unread(function, "the program's function")
    return blocks[opset]


def _refuse_unread(model: Message, description: Message) -> None:
    description.messages("output")
    description.message("metadata")
    model.integer("specificationVersion")
    refuse_unread(description, "description")
    refuse_unread(model, "model")


def _checked_classes(classes: Classes | None, outputs: list[str], description: Message) -> Classes:
    if classes is None:
        raise UnsupportedError("the program has no classify operation: it is no classifier")
    named = (
        description.text("predictedFeatureName"),
        description.text("predictedProbabilitiesName"),
    )
    if classes.results != named or not set(named) <= set(outputs):
        raise BundleError(
            f"the model is said to give {named}, its program classifies into {classes.results}"
        )
    if classes.probabilities.type.size != len(classes.labels) or not classes.labels:
        raise BundleError(
            f"{classes.probabilities.type.size} probabilities for {len(classes.labels)} labels"
        )
    return classes


def _row_of_scores(graph: OnnxGraph, scores: Argument, count: int) -> str:
    if scores.type.dtype != "float32":
        raise BundleError(f"its scores are {scores.type.dtype}, not float32")
    held = Call("classify", {}, (), graph).hold(scores)
    return graph.node("Reshape", [held, graph.integers([1, count])])
