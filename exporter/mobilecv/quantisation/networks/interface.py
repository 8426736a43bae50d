"""A float network as quantisation sees it, whatever its format."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv.quantisation.ranges import Observed, Range
from mobilecv_runtime.spec import UInt8Array

Floats: TypeAlias = NDArray[np.float32]
Slot: TypeAlias = tuple[int, int]
"""Where a constant goes in: (number of the operation, slot of its input)."""

Kind: TypeAlias = Literal["weighted", "scalable", "moving", "other"]
"""`weighted`: a convolution, depthwise convolution or dense layer with constant weights of its own;
steps of a recurrent layer share theirs, and stay as they are.
`scalable`: f(s * x) = s * f(x) for every channel and every s > 0, such as ReLU, pooling and the sum
of two tensors. `moving`: scalable, and no value is computed, such as padding with zeros.
`other`: the rest."""

SCALABLE_KINDS: Final = frozenset({"scalable", "moving"})


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a convolution slides over its input; (height, width) each."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    """Zeros above and to the left."""
    after: tuple[int, int]
    """Zeros below and to the right."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The constants of a weighted layer."""

    slot: Slot
    output_axis: int
    """The axis of the output channels; int8 has a scale for each of them."""
    input_axis: int | None
    """The axis of the input channels, the same one for a depthwise convolution; None where input
    channels are grouped otherwise, and cannot be scaled one by one."""
    bias: Slot | None
    order: tuple[int, ...] | None
    """The axes in the order (outputs, inputs of a group, height, width), or (outputs, inputs) of a
    dense layer; None for what is understood no further, such as convolutions of one dimension."""
    groups: int = 1
    """Into how many groups the channels are divided; as many as channels if depthwise."""
    window: Window | None = None
    """None for a dense layer."""

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel meets its own weights only."""
        return self.input_axis == self.output_axis

    def rows(self, values: Floats) -> Floats:
        """The weights as (groups, outputs of a group, what one output multiplies)."""
        ordered = values.transpose(self.order)
        return ordered.reshape(self.groups, len(ordered) // self.groups, -1)

    def from_rows(self, rows: Floats, shape: tuple[int, ...]) -> Floats:
        """The weights in their own shape again."""
        order = self.order or ()
        return rows.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation."""

    name: str
    """Of its first output tensor."""
    kind: Kind
    inputs: tuple[str, ...]
    """The tensors that it works on, constants apart."""
    weights: Weights | None = None
    """Of a weighted layer."""
    is_linear: bool = False
    """Whether a weighted layer's output may be scaled by channel: it ends in nothing or a ReLU. A
    ReLU6 cuts at 6 whatever the scale, so that no scaling through it is exact."""
    is_head: bool = False
    """Whether it stays in float anyway."""
    is_fused: bool = False
    """Whether it is never quantised by itself, but with the layer that it reads."""
    multiply_adds: int = 0


class Watcher(Protocol):
    """Looks at tensors while a network runs."""

    tensors: Collection[str]
    """Names of tensors that layers work on."""

    def add(self, name: str, values: Floats) -> None:
        """Take what one of them holds on one more photo, see `FloatNetwork.activations`."""


class FloatNetwork(Protocol):
    """A float network that can be looked into, changed and quantised."""

    suffix: str
    """Of its files."""
    fallback: str
    """The target to use where int8 does not hold."""

    @property
    def layers(self) -> Sequence[Layer]:
        """All operations, in the order of execution."""

    @property
    def outputs(self) -> Collection[str]:
        """The names of the tensors that the file gives out."""

    @property
    def tensor_bytes(self) -> int:
        """What the results of all operations on one photo take together."""

    def to_bytes(self) -> bytes:
        """The float file."""

    def constant(self, slot: Slot) -> Floats:
        """A layer's constant."""

    def with_constants(self, changed: Mapping[Slot, Floats]) -> Self:
        """The network with other constants of the same shapes."""

    def observe(self, photos: UInt8Array, watcher: Watcher | None = None) -> dict[str, Observed]:
        """What every tensor holds on photos.

        Args:
            photos: (count, height, width, channels).
            watcher: Sees some of them whole, on one photo after the other.

        Raises:
            ConversionError: If one takes NaN or infinity.
        """

    def activations(
        self, photos: UInt8Array, tensors: Collection[str]
    ) -> Iterator[Mapping[str, Floats]]:
        """What tensors hold on each photo, channels last.

        Args:
            photos: (count, height, width, channels).
            tensors: Names of tensors that layers work on.

        Returns:
            For every photo, name -> (1, height, width, channels) or (..., channels).
        """

    def quantised(self, ranges: Mapping[str, Range], in_float: Collection[str]) -> bytes:
        """The int8 file.

        Args:
            ranges: What each tensor is quantised on.
            in_float: The names of layers to leave in float32.
        """
