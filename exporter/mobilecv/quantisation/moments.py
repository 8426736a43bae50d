"""The second moments of what layers multiply, measured on calibration photos.

For a layer that adds up w * x, the mean of x x^T over photos and positions tells what any change of
w costs in its output. A constant 1 behind x stands for the bias.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv.quantisation.networks.interface import FloatNetwork, Floats, Layer, Weights
from mobilecv.quantisation.ranges import Observed
from mobilecv_runtime.spec import FloatArray, UInt8Array

Measured: TypeAlias = tuple[Layer, list[NDArray[np.float32]]]
"""A layer and its moments, see `Moments.blocks`."""

MOST_INPUTS: Final = 1024
"""So many inputs of a layer are looked at together, if not fewer (`block_size`); those of different
blocks are taken for independent. Time and memory grow with its square. In a block lie some channels
with all places of the window, since a channel's neighbours are the most alike. Measured with
rounded weights only: a ResNet20 moved by 0.0026 in probability in blocks of 72 as in blocks of 576,
and by 0.0030 in such of all channels and two places; in blocks of 160 instead of 1280, MobileNetV2
by 0.0079 instead of 0.0082."""
_POSITIONS: Final = 6400
"""Of all photos together, as far as the tensors have as many: six for every input of a block."""
_MOST_BYTES: Final = 1 << 29
"""Of the moments that are held at one time; a network with more is run several times."""
_MOST_LAYER_BYTES: Final = 1 << 28
"""Of the moments of one layer: a dense layer behind the 131,072 values of a flattened image, in
blocks of 4096, would take 2.1 GB."""
_FEWEST_INPUTS: Final = 128
_WAITING_BYTES: Final = 1 << 22
"""Of a layer's inputs that wait to be multiplied, and"""
_ALL_WAITING_BYTES: Final = 1 << 28
"""of those of all layers that are looked at together."""


def block_size(inputs: int) -> int:
    """How many of a layer's inputs are looked at together, as far as time and memory allow.

    All blocks of a layer are of this size, but for the last one, which may be a little smaller.
    """
    affordable = max(_MOST_LAYER_BYTES // (4 * inputs), _FEWEST_INPUTS)
    blocks = -(-inputs // min(MOST_INPUTS, affordable))
    return -(-inputs // blocks)


class Moments:
    """Of one layer."""

    def __init__(self, weights: Weights, most: int, most_waiting: int) -> None:
        """Start with nothing.

        Args:
            weights: Of the layer.
            most: How many positions of each photo to take at random.
            most_waiting: How many bytes of inputs may wait until there are enough to multiply.
        """
        self._weights, self._most, self._most_waiting = weights, most, most_waiting
        # Every layer draws alike, however many are measured in one run.
        self._random = np.random.default_rng(0)
        self._sums: list[NDArray[np.float32]] = []
        self._waiting: list[Floats] = []

    def add(self, values: Floats) -> None:
        """Take what the layer reads on one more photo.

        Args:
            values: (1, height, width, channels), or (..., channels) for a dense layer.
        """
        self._waiting.append(patches(values, self._weights, self._most, self._random))
        if sum(each.nbytes for each in self._waiting) > self._most_waiting:
            self._multiply()

    def blocks(self) -> list[NDArray[np.float32]]:
        """For each block of inputs the sums of products, (groups, inputs + 1, inputs + 1)."""
        if self._waiting:
            self._multiply()
        return self._sums

    def _multiply(self) -> None:
        """Several photos at once, which is faster by far than one after the other."""
        read = np.concatenate(self._waiting, axis=1)
        self._waiting.clear()
        ones = np.ones((*read.shape[:2], 1), np.float32)
        together = block_size(read.shape[2])
        for number, start in enumerate(range(0, read.shape[2], together)):
            block = np.concatenate([read[:, :, start : start + together], ones], axis=2)
            products = block.transpose(0, 2, 1) @ block
            if number < len(self._sums):
                self._sums[number] += products
            else:
                self._sums.append(products)


class Part:
    """Some layers of a network whose moments fit into memory together."""

    def __init__(self, layers: Sequence[Layer], photos: int) -> None:
        """Start with nothing.

        Args:
            layers: Weighted layers that are understood.
            photos: How many photos will be added.
        """
        self._layers = layers
        self._readers: dict[str, list[Layer]] = {}
        for layer in layers:
            self._readers.setdefault(layer.inputs[0], []).append(layer)
        self.tensors: Collection[str] = self._readers.keys()
        most_waiting = min(_WAITING_BYTES, _ALL_WAITING_BYTES // len(layers))
        most = -(-_POSITIONS // photos)
        self._moments = {
            layer.name: Moments(layer.weights, most, most_waiting)
            for layer in layers
            if layer.weights is not None
        }

    def add(self, name: str, values: Floats) -> None:
        """Take what one of `tensors` holds on one more photo, see `FloatNetwork.activations`."""
        for layer in self._readers[name]:
            self._moments[layer.name].add(values)

    def results(self) -> Iterator[Measured]:
        """The moments; each is forgotten here when it is given out."""
        for layer in self._layers:
            yield layer, self._moments.pop(layer.name).blocks()


def measured(network: FloatNetwork, photos: UInt8Array) -> Iterator[Measured]:
    """The moments of every weighted layer that is understood.

    Args:
        network: The float network.
        photos: (count, height, width, channels), uint8.
    """
    return _measured(network, photos, _parts(network, len(photos)))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a network did on photos."""

    observed: dict[str, Observed]
    """What every tensor held."""
    moments: Iterator[Measured]
    """Those of `measured`."""
    answers: FloatArray
    """(photos, labels): the scores that it gave."""


def seen(network: FloatNetwork, photos: UInt8Array) -> Seen:
    """Look at all that there is to see on photos, in one run over them if memory allows.

    Args:
        network: The float network.
        photos: (count, height, width, channels), uint8.

    Raises:
        ConversionError: If a tensor takes NaN or infinity.
    """
    parts = _parts(network, len(photos), beside=network.tensor_bytes)
    watcher = _FirstRun(network, next(parts, None))
    observed = network.observe(photos, watcher)
    return Seen(
        observed=observed,
        moments=chain(watcher.results(), _measured(network, photos, parts)),
        answers=np.stack(watcher.answers),
    )


class _FirstRun:
    """Watches a part of the layers, if there is one, and the answers."""

    def __init__(self, network: FloatNetwork, part: Part | None) -> None:
        (self._output,) = network.outputs
        self._part = part
        self.tensors: Collection[str] = {self._output, *(part.tensors if part else ())}
        self.answers: list[FloatArray] = []

    def add(self, name: str, values: Floats) -> None:
        if name == self._output:
            self.answers.append(values.flatten())
        if self._part and name in self._part.tensors:
            self._part.add(name, values)

    def results(self) -> Iterator[Measured]:
        return self._part.results() if self._part else iter(())


def _measured(
    network: FloatNetwork, photos: UInt8Array, parts: Iterator[Part]
) -> Iterator[Measured]:
    for part in parts:
        for held in network.activations(photos, part.tensors):
            for name, values in held.items():
                part.add(name, values)
        yield from part.results()


def patches(values: Floats, weights: Weights, most: int, random: np.random.Generator) -> Floats:
    """What each output multiplies, in the order of `Weights.rows`.

    Args:
        values: (1, height, width, channels), or (..., channels) for a dense layer.
        weights: Of the layer.
        most: How many positions to take at random, if there are more.
        random: Chooses them.

    Returns:
        (groups, positions, inputs of one output).
    """
    if weights.window is None:
        rows = values.reshape(-1, values.shape[-1])
        return rows[_chosen(len(rows), most, random)][None]
    window = weights.window
    image = values[0]
    if any(window.before + window.after):
        image = np.pad(image, [*zip(window.before, window.after, strict=True), (0, 0)])
    span = tuple(
        (length - 1) * dilation + 1
        for length, dilation in zip(window.kernel, window.dilations, strict=True)
    )
    # (height, width, channels, *span), without copying a value.
    views: Any = np.lib.stride_tricks.sliding_window_view(image, span, axis=(0, 1))  # type: ignore[call-overload]
    (down, across), (row_step, column_step) = window.strides, window.dilations
    views = views[::down, ::across, :, ::row_step, ::column_step]
    height, width = views.shape[:2]
    chosen = _chosen(height * width, most, random)
    taken = views[chosen // width, chosen % width]
    grouped = taken.reshape(len(chosen), weights.groups, -1)
    found: Floats = grouped.transpose(1, 0, 2)
    return found


def _chosen(count: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of all positions, or of some at random."""
    return np.arange(count) if count <= most else random.choice(count, most, replace=False)


def _inputs(network: FloatNetwork, layer: Layer) -> int:
    assert layer.weights is not None
    values = network.constant(layer.weights.slot)
    return values.size // int(values.shape[layer.weights.output_axis])


def _parts(network: FloatNetwork, photos: int, beside: int = 0) -> Iterator[Part]:
    """The layers in their order, as many at once as `_MOST_BYTES` allows.

    Args:
        network: The float network.
        photos: How many photos will be added.
        beside: Bytes that are held beside the moments of the first part.
    """
    batch: list[Layer] = []
    held = beside
    for layer in network.layers:
        if layer.weights is None or layer.weights.order is None:
            continue
        inputs = _inputs(network, layer)
        size = 4 * layer.weights.groups * inputs * block_size(inputs)
        if batch and held + size > _MOST_BYTES:
            yield Part(batch, photos)
            batch, held = [], 0
        batch.append(layer)
        held += size
    if batch:
        yield Part(batch, photos)
