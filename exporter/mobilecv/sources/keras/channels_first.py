"""Turns a network that takes (channels, height, width) into the same one with channels last.

TensorFlow cannot run convolutions with channels first on a CPU, and no target wants them. Every
layer is made anew with channels last and gets the same weights; where a layer depends on the order
of the values (Flatten, Reshape), a Permute in front of it restores the order that it was trained
with. So the answers are the same, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mobilecv.sources.keras.framework import keras_module
from mobilecv_runtime.errors import SourceError

_ELEMENTWISE: Final = frozenset({
    "Activation", "Add", "AlphaDropout", "Average", "Dropout", "ELU", "GaussianDropout",
    "GaussianNoise", "LeakyReLU", "Maximum", "Minimum", "Multiply", "ReLU", "Rescaling",
    "Subtract", "ThresholdedReLU",
})  # fmt: skip
_WITH_AXIS: Final = frozenset({"BatchNormalization", "Concatenate", "Softmax"})
_PLACES: Final = {1: 3, 2: 1, 3: 2, -3: 3, -2: 1, -1: 2}
"""An axis of (batch, channels, height, width) -> the same in (batch, height, width, channels)."""
_TO_FIRST: Final = (3, 1, 2)
_TO_LAST: Final = (2, 3, 1)


def is_channels_first(model: Any) -> bool:
    """Whether a layer of a model, or of one nested in it, takes channels first."""
    return any(getattr(layer, "data_format", None) == "channels_first" for layer in _layers(model))


def with_channels_last(model: Any) -> Any:
    """The same network with channels last.

    Args:
        model: A `keras.Model` over one image, (batch, channels, height, width).

    Raises:
        SourceError: If a layer of it cannot be turned exactly.
    """
    return _Turning().turned(model)


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


class _Turning:
    """One turning of a model; a layer that is shared is turned once."""

    def __init__(self) -> None:
        self._keras = keras_module()
        self._made: dict[int, Any] = {}

    def turned(self, model: Any) -> Any:
        keras = self._keras
        inputs = [
            keras.Input(batch_shape=_turned_shape(each.shape), dtype=each.dtype, name=each.name)
            for each in model.inputs
        ]
        # A Sequential is a graph here, so that a Permute can be put in between.
        graph = keras.Model(model.inputs, model.outputs, name=model.name)
        made = keras.models.clone_model(
            graph,
            input_tensors=inputs,
            clone_function=self._layer,
            call_function=self._call,
        )
        for layer in graph.layers:
            if not hasattr(layer, "layers") and layer.weights:
                self._layer(layer).set_weights(_turned_weights(layer))
        # A list of one output would make the model answer with a list.
        return keras.Model(made.inputs[0], made.outputs[0], name=model.name)

    def _layer(self, layer: Any) -> Any:
        if id(layer) not in self._made:
            is_model = hasattr(layer, "layers")
            self._made[id(layer)] = self.turned(layer) if is_model else _made_anew(layer)
        return self._made[id(layer)]

    def _call(self, layer: Any, *inputs: Any, **named: Any) -> Any:
        permute = self._keras.layers.Permute
        first = inputs[0][0] if isinstance(inputs[0], list | tuple) else inputs[0]
        kind = type(layer).__name__
        if kind == "Flatten" and len(first.shape) == 4 and layer.data_format != "channels_first":
            return layer(permute(_TO_FIRST)(first))
        if kind == "Flatten":
            layer.data_format = "channels_last"
        if kind == "Reshape":
            before = permute(_TO_FIRST)(first) if len(first.shape) == 4 else first
            after = layer(before)
            return permute(_TO_LAST)(after) if len(after.shape) == 4 else after
        return layer(*inputs, **named)


def _turned_shape(shape: Any) -> tuple[int | None, ...]:
    if len(shape) != 4:
        return tuple(shape)
    return shape[0], shape[2], shape[3], shape[1]


def _made_anew(layer: Any) -> Any:
    """A layer for channels last, with other weights."""
    kind, config = type(layer).__name__, layer.get_config()
    if _rank(layer) != 4 or kind in ("Flatten", "Reshape", "InputLayer"):
        return type(layer).from_config(config)
    if config.get("activation") == "softmax":
        raise _refusal(layer, "its softmax is over the columns of the image")
    if "data_format" in config:
        if config["data_format"] != "channels_first":
            raise _refusal(layer, "it takes channels last in a network with channels first")
        config["data_format"] = "channels_last"
    elif kind in _WITH_AXIS:
        axis = config["axis"]
        if axis not in _PLACES:
            raise _refusal(layer, f"its axis is {axis}")
        config["axis"] = _PLACES[axis]
    elif kind == "PReLU":
        config["shared_axes"] = [_PLACES[axis] for axis in config["shared_axes"] or ()] or None
    elif kind not in _ELEMENTWISE:
        raise _refusal(layer, f"what {kind} does with channels first is not known")
    return type(layer).from_config(config)


def _rank(layer: Any) -> int:
    given = layer.input
    return len((given[0] if isinstance(given, list | tuple) else given).shape)


def _refusal(layer: Any, reason: str) -> SourceError:
    return SourceError(
        f"layer {layer.name!r}: the network takes channels first and cannot be turned to channels "
        f"last exactly, because {reason}; build it with data_format 'channels_last'"
    )


def _turned_weights(layer: Any) -> list[Any]:
    """Kernels are the same in both; PReLU has a slope for each place of an image."""
    weights: list[Any] = layer.get_weights()
    if type(layer).__name__ == "PReLU" and weights[0].ndim == 3:
        return [weights[0].transpose((1, 2, 0))]
    return weights
