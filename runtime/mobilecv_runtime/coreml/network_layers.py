"""Counts the layers of a Core ML neural network, without running it.

A file of this kind states no shapes, so its layers are lowered as the executor does it, to a graph
that keeps nothing. All values are float32 by the specification; which arithmetic a device computes
them in, is Core ML's choice and not in the file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from mobilecv_runtime.census import Census, peak_bytes
from mobilecv_runtime.census import Layer as CountedLayer
from mobilecv_runtime.coreml.layers import Layer, Tensor
from mobilecv_runtime.coreml.model import NETWORKS, open_specification
from mobilecv_runtime.coreml.neural_network import NetworkGraph, lower_layers
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

_VALUE_BYTES: Final = 4
_KERNELS: Final = frozenset({"convolution", "innerProduct", "batchedMatmul"})
_CONSTANTS: Final = frozenset({"loadConstant", "loadConstantND"})


def network_census(path: Path) -> Census:
    """Count every layer of a neural network with one image input, for one image.

    Args:
        path: An `.mlmodel` file.

    Raises:
        UnsupportedError: If it holds a layer that mobilecv does not understand.
        BundleError: If it is damaged.
    """
    model = open_specification(path)
    try:
        return count_layers(model)
    except BundleError as error:
        raise type(error)(f"{path}: {error}") from error


def count_layers(model: Message) -> Census:
    """Count every layer of a neural network, given as its `Model` message; see `network_census`."""
    description, onnx = model.message("description"), _Nothing()
    graph = NetworkGraph(onnx, "stored")
    network = model.message(next(kind for kind in NETWORKS if model.has(kind)))
    lowered = lower_layers(graph, onnx, network, description)
    layers: list[CountedLayer] = []
    steps: list[tuple[list[str], list[str]]] = []
    sizes: dict[str, int] = {}
    constants: dict[str, int] = {}
    for message, (layer, results) in zip(network.messages("layers"), lowered, strict=True):
        if layer.kind in _CONSTANTS:
            constants.update({name: math.prod(each.shape) for name, each in results.items()})
            continue
        reads = message.texts("input")
        counted = _layer(layer, results, sum(constants.get(name, 0) for name in reads))
        layers.append(counted)
        steps.append((reads, [*results]))
        sizes.update({name: _bytes(each) for name, each in results.items()})
    for name, value in graph.values.items():
        if name not in constants:
            sizes.setdefault(name, _bytes(value))
    kept = [output.text("name") for output in description.messages("output")]
    uncounted = Counter(
        each.operation for each in layers if each.operation in _KERNELS and not each.multiply_adds
    )
    return Census(
        layers=tuple(layers),
        peak_activation_bytes=peak_bytes(steps, sizes, [*kept, graph.last]),
        uncounted=dict(uncounted.most_common()),
    )


def _layer(layer: Layer, results: Mapping[str, Tensor], constants: int) -> CountedLayer:
    kernel = next((each for each in layer.stored if each.field == "weights"), None)
    return CountedLayer(
        name=layer.name,
        operation=layer.kind,
        arithmetic="float32",
        weights=kernel.storage if kernel is not None else "",
        activations="float32",
        multiply_adds=_multiply_adds(layer, next(iter(results.values()))),
        parameters=constants + sum(math.prod(each.shape) for each in layer.stored),
        output_bytes=sum(map(_bytes, results.values())),
    )


def _multiply_adds(layer: Layer, result: Tensor) -> int:
    """0 for what does not multiply."""
    if layer.kind not in _KERNELS:
        return 0
    kernel = next((each.shape for each in layer.stored if each.field == "weights"), None)
    if kernel is None:
        # A product of two inputs.
        first = layer.inputs[0].shape
        is_swapped = layer.flag("transposeA") and len(first) > 1
        return math.prod(result.shape) * first[-2 if is_swapped else -1]
    if layer.kind == "convolution" and layer.flag("isDeconvolution"):
        # Weights are (inputs, outputs per group, *kernel); every input pixel meets all of them.
        return math.prod(layer.inputs[0].shape) * math.prod(kernel[1:])
    return math.prod(result.shape) * math.prod(kernel[1:])


def _bytes(tensor: Tensor) -> int:
    return _VALUE_BYTES * math.prod(tensor.shape)


class _Nothing(OnnxGraph):
    """A graph that gives out names, and keeps neither operations nor constants."""

    def __init__(self) -> None:
        self._count = 0

    def input(self, name: str, dtype: str, shape: Sequence[int]) -> str:  # noqa: ARG002
        return name

    def constant(self, value: NDArray[Any]) -> str:  # noqa: ARG002
        return self._fresh("constant")

    def nodes(
        self,
        op: str,
        inputs: Sequence[str],  # noqa: ARG002
        results: int,
        **attributes: Any,  # noqa: ARG002
    ) -> list[str]:
        return [self._fresh(op) for _ in range(results)]
