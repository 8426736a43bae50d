"""Keras models with the dequantised weights of the uint8 MobileNets in google-coral's test_data.

Those files were trained with simulated quantisation (arXiv 1712.05877): weights are uint8 with one
scale per tensor, biases int32, batch normalisation is folded. `real = scale * (stored - zero
point)`, by the quantisation specification of TFLite. The Keras model has biases where the file has
them, so that it needs no batch normalisation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.tflite_layers import TfliteGraph, quantisation_of

_RELU6: Final = 3
"""`ActivationFunctionType.RELU6` in the schema of TFLite; 0 is NONE."""
_SAME: Final = 0
"""`Padding.SAME` in the schema of TFLite; 1 is VALID."""
_SEED: Final = 0
_OCTAVES: Final = 3
"""Badly scaled channels are up to that many doublings larger or smaller than they were."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation with its weights in float32."""

    operation: str
    inputs: tuple[int, ...]
    """The tensors that it reads, by their numbers in the file."""
    output: int
    kernel: NDArray[np.float32]
    """(height, width, inputs, outputs); depthwise (height, width, channels, 1). Empty for
    operations without weights."""
    bias: NDArray[np.float32]
    stride: int = 1
    padding: str = "same"
    clipped: bool = False
    """Whether a ReLU6 follows."""


_NOTHING: Final = np.zeros(0, np.float32)


def write_keras(file: Path, output: Path) -> None:
    """Write a Keras model with the weights of a uint8 `.tflite`.

    Raises:
        SourceError: If the file holds an operation that these networks do not have.
    """
    graph = TfliteGraph.read(file)
    _write(graph, list(_layers(graph)), output)


def write_badly_scaled_keras(file: Path, output: Path) -> None:
    """Write the same network with channels of very unlike sizes, and the same answers.

    What the linear bottlenecks give is multiplied per channel by a power of two, which the next
    convolutions take back. Nothing is rounded by that in float32, but one range has to hold all the
    channels of a tensor in int8. Networks come out of training like that (Nagel et al. 2019, arXiv
    1906.04721, figure 2).

    Raises:
        SourceError: If the file holds an operation that these networks do not have.
    """
    graph = TfliteGraph.read(file)
    _write(graph, _badly_scaled(list(_layers(graph))), output)


def _layers(graph: TfliteGraph) -> Iterator[Layer]:
    for op in graph.operators:
        name, options = graph.op_name(op), op.builtinOptions
        output = int(op.outputs[0])
        match name:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                if name == "DEPTHWISE_CONV_2D" and options.depthMultiplier != 1:
                    raise SourceError(f"{name}: more than one kernel per channel")
                yield Layer(
                    operation=name,
                    inputs=(int(op.inputs[0]),),
                    output=output,
                    # (outputs, height, width, inputs), depthwise (1, height, width, channels).
                    kernel=_dequantised(graph, int(op.inputs[1])).transpose((1, 2, 3, 0)),
                    bias=_dequantised(graph, int(op.inputs[2])),
                    stride=int(options.strideW),
                    padding="same" if options.padding == _SAME else "valid",
                    clipped=options.fusedActivationFunction == _RELU6,
                )
            case "ADD" | "AVERAGE_POOL_2D" | "RESHAPE" | "SOFTMAX":
                inputs = tuple(int(i) for i in op.inputs if not graph.is_constant(int(i)))
                yield Layer(
                    operation=name, inputs=inputs, output=output, kernel=_NOTHING, bias=_NOTHING
                )
            case _:
                raise SourceError(f"{name}: no operation of these networks")


def _dequantised(graph: TfliteGraph, index: int) -> NDArray[np.float32]:
    tensor = graph.tensors[index]
    found = quantisation_of(tensor)
    if found is None:
        raise SourceError(f"tensor {index} is not quantised")
    scale, zero_point = found
    stored = np.frombuffer(bytes(graph.model.buffers[tensor.buffer].data), graph.type_of(index))
    values = scale * (stored.astype(np.float64) - zero_point)
    return values.reshape(graph.shape_of(index)).astype(np.float32)


def _badly_scaled(layers: Sequence[Layer]) -> list[Layer]:
    generator = np.random.default_rng(_SEED)
    factors: dict[int, NDArray[np.float32]] = {}
    for tensors in _streams(layers):
        makers = [each for each in layers if each.output in tensors and each.bias.size]
        drawn = 2.0 ** generator.integers(-_OCTAVES, _OCTAVES + 1, len(makers[0].bias))
        factors.update(dict.fromkeys(tensors, drawn.astype(np.float32)))
    return [_rescaled(layer, factors) for layer in layers]


def _rescaled(layer: Layer, factors: dict[int, NDArray[np.float32]]) -> Layer:
    kernel, bias = layer.kernel, layer.bias
    if not bias.size:
        return layer
    if layer.inputs[0] in factors:
        kernel = kernel / factors[layer.inputs[0]][:, None]
    if layer.output in factors:
        kernel, bias = kernel * factors[layer.output], bias * factors[layer.output]
    return dataclasses.replace(layer, kernel=kernel, bias=bias)


def _streams(layers: Sequence[Layer]) -> Iterator[set[int]]:
    """The tensors that additions tie together, from linear convolutions to the next ones."""
    groups: list[set[int]] = []
    for layer in layers:
        if layer.operation == "CONV_2D" and not layer.clipped:
            groups.append({layer.output})
        elif layer.operation == "ADD":
            tied = [group for group in groups if group & set(layer.inputs)]
            groups = [group for group in groups if group not in tied]
            groups.append({layer.output}.union(*tied))
    for group in groups:
        readers = {each.operation for each in layers if group & set(each.inputs)}
        if readers <= {"CONV_2D", "ADD"}:
            yield group


def _write(graph: TfliteGraph, layers: Sequence[Layer], output: Path) -> None:
    import keras

    (image,) = graph.inputs
    results: dict[int, Any] = {image: keras.Input(graph.shape_of(image)[1:], name="image")}
    for layer in layers:
        results[layer.output] = _keras_layer(layer, [results[index] for index in layer.inputs])
    (scores,) = graph.outputs
    keras.Model(results[image], results[scores], name=output.stem).save(output)


def _keras_layer(layer: Layer, inputs: Sequence[Any]) -> Any:
    """Apply the layer of Keras that an operation is.

    Args:
        layer: The operation.
        inputs: What it reads, as Keras tensors.
    """
    import keras

    match layer.operation:
        case "ADD":
            return keras.layers.Add()(list(inputs))
        case "AVERAGE_POOL_2D":
            # In all of these networks the window is the whole image.
            return keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs[0])
        case "RESHAPE":
            return keras.layers.Flatten()(inputs[0])
        case "SOFTMAX":
            return keras.layers.Softmax()(inputs[0])
    height, width, _, outputs = layer.kernel.shape
    shared: dict[str, Any] = {"strides": layer.stride, "padding": layer.padding}
    if layer.operation == "DEPTHWISE_CONV_2D":
        convolution = keras.layers.DepthwiseConv2D((height, width), **shared)
    else:
        convolution = keras.layers.Conv2D(outputs, (height, width), **shared)
    result = convolution(inputs[0])
    convolution.set_weights([layer.kernel, layer.bias])
    return keras.layers.ReLU(6.0)(result) if layer.clipped else result
