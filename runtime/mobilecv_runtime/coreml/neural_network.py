"""Lowers a neural-network classifier (`.mlmodel`) to an ONNX model.

Source: `mlmodel/format/NeuralNetwork.proto` of https://github.com/apple/coremltools.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from mobilecv_runtime.coreml.image_input import ImageFeature, image_values, only_image
from mobilecv_runtime.coreml.layer_schema import LAYER_TYPES
from mobilecv_runtime.coreml.layers import LOWERINGS, Layer, LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.preprocessing import preprocessed
from mobilecv_runtime.coreml.lowering import (
    SCORES,
    Arithmetic,
    Lowered,
    UnsupportedError,
    refuse_unread,
)
from mobilecv_runtime.coreml.model import only_output, value_names
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

_CLASSIFIER: Final = "neuralNetworkClassifier"
_PLAIN: Final = "neuralNetwork"
_OTHERS: Final = (_PLAIN, "neuralNetworkRegressor")


def lower_neural_network(model: Message, arithmetic: Arithmetic) -> Lowered:
    """Lower a neural-network classifier with one image input.

    Args:
        model: The `Model` message.
        arithmetic: With `device-estimate`, the result of every layer is rounded to float16.

    Raises:
        UnsupportedError: If it holds anything that mobilecv does not understand.
        BundleError: If it is damaged.
    """
    other = model.which(*_OTHERS)
    names = value_names(model.message("description")) if other == _PLAIN else None
    if names is None and (other is not None or not model.has(_CLASSIFIER)):
        raise UnsupportedError(
            f"a Core ML {other or 'model without a neural network'}: it names no labels; export it "
            "as a classifier (coremltools: ClassifierConfig)"
        )
    kind = _CLASSIFIER if names is None else _PLAIN
    network, description = model.message(kind), model.message("description")
    onnx = OnnxGraph()
    graph = NetworkGraph(onnx, arithmetic)
    for _ in lower_layers(graph, onnx, network, description):
        pass
    labels = names or _labels(network)
    scores = graph.value(
        only_output(description) if names else _scores_name(network, description, graph)
    )
    if math.prod(scores.shape) != len(labels):
        raise BundleError(
            f"{len(labels)} labels for scores of shape {scores.shape}; convert the model again "
            "with a label for each"
        )
    onnx.output(graph.reshape(scores, (1, len(labels))).name, "float32", SCORES)
    _refuse_unread(model, network, description, kind)
    return Lowered(onnx=onnx.build(), labels=labels)


class NetworkGraph(LayerGraph):
    """A graph with the values that a network has named so far."""

    def __init__(self, graph: OnnxGraph, arithmetic: Arithmetic) -> None:
        """Build on a graph, which may hold something already."""
        super().__init__(graph)
        self.values: dict[str, Tensor] = {}
        self.last = ""
        """The name that was given last."""
        self._arithmetic = arithmetic

    def name(self, name: str, tensor: Tensor) -> None:
        """Give a value its name."""
        self.values[name] = self.stored(tensor)
        self.last = name

    def stored(self, tensor: Tensor) -> Tensor:
        """A value as it is kept between two layers."""
        return self.rounded(tensor) if self._arithmetic == "device-estimate" else tensor

    def value(self, name: str) -> Tensor:
        """The value of a name.

        Raises:
            BundleError: If no layer gives it.
        """
        if name not in self.values:
            raise BundleError(f"no layer gives the value {name!r}; convert the model again")
        return self.values[name]


def lower_layers(
    graph: NetworkGraph, onnx: OnnxGraph, network: Message, description: Message
) -> Iterator[tuple[Layer, Mapping[str, Tensor]]]:
    """Add all layers of a network with one image input to a graph, one after the other.

    Returns:
        Each layer, and what it gives by name.

    Raises:
        UnsupportedError: If the network holds anything that mobilecv does not understand.
        BundleError: If it breaks the specification.
    """
    image = only_image(description)
    graph.values[image.name] = _input(graph, onnx, network, image)
    for number, message in enumerate(network.messages("layers")):
        yield lower_layer(graph, message, number)


def _input(graph: NetworkGraph, onnx: OnnxGraph, network: Message, image: ImageFeature) -> Tensor:
    """The image as the first layer sees it: of rank 5 in old networks, with a sequence axis.

    Source: `NeuralNetworkImageShapeMapping` of NeuralNetwork.proto.
    """
    shape = (1, image.channels, image.height, image.width)
    pixels = Tensor(image_values(onnx, image), shape)
    values = graph.stored(preprocessed(graph, network.messages("preprocessing"), image, pixels))
    mapping = network.integer("imageInputShapeMapping")
    network.integer("arrayInputShapeMapping")  # No input is an array.
    if mapping not in (0, 1):
        raise UnsupportedError(f"imageInputShapeMapping {mapping}, known are 0 and 1")
    return values if mapping == 1 else graph.reshape(values, (1, *shape))


def lower_layer(
    graph: NetworkGraph, message: Message, number: int = 0
) -> tuple[Layer, Mapping[str, Tensor]]:
    """Add a layer to a graph, and name its results there.

    Args:
        graph: Holds the values that go in.
        message: A `NeuralNetworkLayer`.
        number: Its place in the network, for errors when it has no name.

    Returns:
        The layer, and what it gives by name.

    Raises:
        UnsupportedError: If it holds anything that mobilecv does not understand.
        BundleError: If it breaks the specification.
    """
    kinds = [field for field in message.present() if field in LAYER_TYPES.values()]
    name = message.text("name") or str(number)
    if len(kinds) != 1 or kinds[0] not in LOWERINGS:
        raise UnsupportedError(
            f"layer {name!r} is of type {' and '.join(kinds) or 'no known type'}, "
            "which mobilecv does not run; please report it with the tool that wrote the file"
        )
    names = message.texts("output")
    layer = Layer(
        name=name,
        kind=kinds[0],
        parameters=message.message(kinds[0]),
        inputs=[graph.value(value) for value in message.texts("input")],
        outputs=len(names),
    )
    if layer.kind != "copy" and any(output in graph.values for output in names):
        raise layer.damaged(f"gives {', '.join(names)}, a name that is given already")
    lowered = LOWERINGS[layer.kind](graph, layer)
    results = [lowered] if isinstance(lowered, Tensor) else lowered
    if len(results) != len(names) or len(set(names) - {""}) != len(names):
        raise layer.damaged(f"outputs {names}, expected {len(results)} different names")
    message.integer("isUpdatable")  # Whether a device may train it changes no prediction.
    _check_shapes(layer, message, "inputTensor", layer.inputs)
    _check_shapes(layer, message, "outputTensor", results)
    layer.refuse_unread()
    refuse_unread(message, layer.where)
    for output, result in zip(names, results, strict=True):
        graph.name(output, result)
    return layer, {name: graph.value(name) for name in names}


def _check_shapes(
    layer: Layer, message: Message, field: str, tensors: tuple[Tensor, ...] | list[Tensor]
) -> None:
    """Compare with the shapes that the file states, where it does: the converter's own opinion."""
    stated = message.messages(field)
    if not stated:
        return
    if len(stated) != len(tensors):
        raise layer.damaged(f"{len(stated)} entries in {field}, expected {len(tensors)}")
    for entry, tensor in zip(stated, tensors, strict=True):
        rank, sizes = entry.integer("rank"), entry.integers("dimValue")
        known = [size for size in zip(sizes, tensor.shape, strict=False) if size[0] > 0]
        refuse_unread(entry, layer.where)
        if rank != tensor.rank or any(size != found for size, found in known):
            raise layer.unsupported(f"{field} says {sizes} where its layers give {tensor.shape}")


def _labels(network: Message) -> tuple[str, ...]:
    strings, integers = network.has("stringClassLabels"), network.has("int64ClassLabels")
    if strings == integers:
        raise BundleError("no class labels; export the model as a classifier with its labels")
    if strings:
        message = network.message("stringClassLabels")
        labels = tuple(message.texts("vector"))
    else:
        message = network.message("int64ClassLabels")
        labels = tuple(map(str, message.integers("vector")))
    refuse_unread(message, "class labels")
    return labels


def _scores_name(network: Message, description: Message, graph: NetworkGraph) -> str:
    """Which value holds the scores: a field says it, or an output does, or it is the last."""
    stated = network.text("labelProbabilityLayerName")
    dictionary = description.text("predictedProbabilitiesName")
    if stated:
        return stated
    return dictionary if dictionary in graph.values else graph.last


def _refuse_unread(model: Message, network: Message, description: Message, kind: str) -> None:
    network.data("updateParams")  # How to train it on a device.
    description.messages("output")
    description.text("predictedFeatureName")
    description.message("metadata")
    description.messages("trainingInput")
    model.integer("specificationVersion")
    model.integer("isUpdatable")
    refuse_unread(network, kind)
    refuse_unread(description, "description")
    refuse_unread(model, "model")
