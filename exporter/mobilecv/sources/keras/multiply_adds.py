"""Counts the layers of a Keras model from its config, without starting TensorFlow.

Shapes are followed from the input through the layers that image classifiers are usually made of.
Behind a layer that is not known here nothing can be counted; such layers are named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mobilecv_runtime.census import Census, Layer, peak_bytes

Shape: TypeAlias = tuple[int, ...]
"""Without the batch; channels last."""

_FLOAT_BYTES: Final = 4
_SAME_SHAPE: Final = frozenset(
    {
        "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "Dropout", "ELU",
        "GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Maximum", "Minimum",
        "Multiply", "ReLU", "Rescaling", "Softmax", "SpatialDropout2D", "Subtract",
        "ThresholdedReLU",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Result:
    shape: Shape
    multiply_adds: int = 0
    parameters: int = 0


class _UnknownError(Exception):
    """A layer, or the shape before it, that cannot be followed."""


def keras_census(config: Mapping[str, Any], size: tuple[int, int] | None = None) -> Census:
    """Count the layers of a model.

    Args:
        config: `{"class_name": ..., "config": ...}` of a Sequential or functional model, of Keras
            2 or 3.
        size: (height, width) for a model that takes images of any size.
    """
    count = _Count(size)
    count.model(config, [])
    return Census(
        layers=tuple(count.layers),
        peak_activation_bytes=peak_bytes(count.steps, count.sizes, count.steps[-1][1])
        if count.steps
        else 0,
        uncounted=dict(count.uncounted.most_common()),
    )


class _Count:
    def __init__(self, size: tuple[int, int] | None) -> None:
        self._size = size
        self.layers: list[Layer] = []
        self.steps: list[tuple[list[str], list[str]]] = []
        self.sizes: dict[str, int] = {}
        self.uncounted: Counter[str] = Counter()

    def model(self, config: Mapping[str, Any], given: Sequence[tuple[str, Shape | None]]) -> Any:
        """Follow a model; what it gives is its last layer's name and shape."""
        inner = config["config"]
        listed = inner if isinstance(inner, list) else inner.get("layers")
        if listed is None:
            self.uncounted[str(config["class_name"])] += 1
            return "image", None
        known: dict[str, tuple[str, Shape | None]] = {}
        waiting = list(given)
        last: tuple[str, Shape | None] = given[0] if given else ("image", None)
        for position, layer in enumerate(listed):
            name = str(layer.get("name") or layer["config"].get("name", position))
            before = [known[source] for source in _sources(layer) if source in known]
            if layer["class_name"] == "InputLayer":
                last = waiting.pop(0) if waiting else (name, self._input(layer))
            else:
                last = self._layer(layer, name, before or [self._first(layer, last)])
            known[name] = last
        return last

    def _first(
        self, layer: Mapping[str, Any], last: tuple[str, Shape | None]
    ) -> tuple[str, Shape | None]:
        """What a layer of a Sequential model reads; the first one may state the input's shape."""
        return last if last[1] is not None else (last[0], self._input(layer))

    def _input(self, layer: Mapping[str, Any]) -> Shape | None:
        config = layer["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        if not isinstance(shape, list):
            return None
        sizes = [*shape[1:]]
        if self._size is not None and sizes[:2] == [None, None]:
            sizes[:2] = self._size
        if None in sizes:
            return None
        found = tuple(int(each) for each in sizes)
        self.sizes["image"] = math.prod(found) * _FLOAT_BYTES
        return found

    def _layer(
        self, layer: Mapping[str, Any], name: str, before: Sequence[tuple[str, Shape | None]]
    ) -> tuple[str, Shape | None]:
        kind = str(layer["class_name"])
        # A nested Sequential of Keras before 2.3 is a list of its layers.
        if isinstance(layer["config"], list) or "layers" in layer["config"]:
            result: tuple[str, Shape | None] = self.model(layer, before)
            return result
        try:
            found = _follow(kind, layer["config"], [shape for _, shape in before])
        except _UnknownError:
            self.uncounted[kind] += 1
            return name, None
        self.sizes[name] = math.prod(found.shape) * _FLOAT_BYTES
        self.steps.append(([source for source, _ in before], [name]))
        self.layers.append(
            Layer(
                name=name,
                operation=kind,
                arithmetic="float32",
                weights="float32" if found.parameters else "",
                activations="float32",
                multiply_adds=found.multiply_adds,
                parameters=found.parameters,
                output_bytes=self.sizes[name],
            )
        )
        return name, found.shape


def _sources(layer: Mapping[str, Any]) -> Iterator[str]:
    """The names of the layers that a layer reads, in both spellings of `inbound_nodes`."""
    pending: list[Any] = list(layer.get("inbound_nodes", [])[:1])
    while pending:
        item = pending.pop(0)
        if isinstance(item, dict):
            history = item.get("config", {}).get("keras_history")
            if history:
                yield str(history[0])
            else:
                pending[:0] = list(item.values())
        elif isinstance(item, list):
            is_reference = len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int)
            if is_reference:
                yield str(item[0])
            else:
                pending[:0] = item


def _follow(kind: str, config: Mapping[str, Any], shapes: Sequence[Shape | None]) -> _Result:
    """One layer's result for the shapes before it."""
    known = [shape for shape in shapes if shape is not None]
    is_channels_first = config.get("data_format") == "channels_first"
    if len(known) != len(shapes) or not known or is_channels_first:
        raise _UnknownError
    if kind in _SAME_SHAPE:
        # Squeeze-and-excitation multiplies by one value per channel: the larger shape stays.
        return _Result(max(known, key=math.prod))
    rule = _RULES.get(kind)
    if rule is None:
        raise _UnknownError
    try:
        return rule(config, known)
    # A Keras before 2.0 has other words for the same (nb_filter, border_mode, output_dim).
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _UnknownError from error


def _conv(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    filters, groups = int(config["filters"]), int(config.get("groups") or 1)
    height, width = _window(shapes[0], config, config["kernel_size"])
    weights = math.prod(config["kernel_size"]) * shapes[0][2] // groups * filters
    return _Result(
        (height, width, filters), height * width * weights, weights + _bias(config, filters)
    )


def _depthwise(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    channels = shapes[0][2] * int(config.get("depth_multiplier") or 1)
    height, width = _window(shapes[0], config, config["kernel_size"])
    weights = math.prod(config["kernel_size"]) * channels
    shape = (height, width, channels)
    return _Result(shape, height * width * weights, weights + _bias(config, channels))


def _separable(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    inner = _depthwise({**config, "use_bias": False}, shapes)
    point = {**config, "kernel_size": [1, 1], "strides": [1, 1], "dilation_rate": [1, 1]}
    outer = _conv(point, [inner.shape])
    return _Result(
        outer.shape,
        inner.multiply_adds + outer.multiply_adds,
        inner.parameters + outer.parameters,
    )


def _dense(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    units, weights = int(config["units"]), shapes[0][-1] * int(config["units"])
    shape = (*shapes[0][:-1], units)
    return _Result(shape, math.prod(shapes[0][:-1]) * weights, weights + _bias(config, units))


def _pool(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    stated = {**config, "strides": config.get("strides") or config["pool_size"]}
    return _Result((*_window(shapes[0], stated, config["pool_size"]), shapes[0][2]))


def _global_pool(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    channels = shapes[0][-1]
    return _Result((1, 1, channels) if config.get("keepdims") else (channels,))


def _normalisation(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    """Scale, shift, mean and variance of each channel."""
    values = 2 + bool(config.get("scale", True)) + bool(config.get("center", True))
    return _Result(shapes[0], parameters=values * shapes[0][-1])


def _flatten(_: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    return _Result((math.prod(shapes[0]),))


def _reshape(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    target = [int(each) for each in config["target_shape"]]
    rest = math.prod(shapes[0]) // math.prod(each for each in target if each != -1)
    return _Result(tuple(rest if each == -1 else each for each in target))


def _padding(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    (top, bottom), (left, right) = config["padding"]
    height, width, channels = shapes[0]
    return _Result((height + top + bottom, width + left + right, channels))


def _concatenate(config: Mapping[str, Any], shapes: Sequence[Shape]) -> _Result:
    if config.get("axis", -1) not in (-1, len(shapes[0])):
        raise _UnknownError
    return _Result((*shapes[0][:-1], sum(shape[-1] for shape in shapes)))


def _window(image: Shape, config: Mapping[str, Any], kernel: Sequence[int]) -> Shape:
    """(height, width) behind a sliding window."""
    dilation = config.get("dilation_rate") or (1, 1)
    sizes = []
    for size, extent, stride, rate in zip(
        image[:2], kernel, config["strides"], dilation, strict=True
    ):
        reach = 0 if config["padding"] == "same" else (extent - 1) * rate
        sizes.append(-(-(size - reach) // stride))
    return tuple(sizes)


def _bias(config: Mapping[str, Any], count: int) -> int:
    return count if config.get("use_bias", True) else 0


_RULES: Final[Mapping[str, Callable[[Mapping[str, Any], Sequence[Shape]], _Result]]] = {
    "AveragePooling2D": _pool,
    "BatchNormalization": _normalisation,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool,
    "GlobalMaxPooling2D": _global_pool,
    "MaxPooling2D": _pool,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "ZeroPadding2D": _padding,
}
