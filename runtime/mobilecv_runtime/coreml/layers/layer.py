"""One layer of a neural network as its file describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.coreml.layers.layer_graph import Shape, Tensor
from mobilecv_runtime.coreml.lowering import UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.weight_params import Weights, read_weights, storage_of
from mobilecv_runtime.errors import BundleError

_LARGEST_SIZE: Final = 1 << 28


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """A weight parameter that was read."""

    field: str
    shape: Shape
    storage: str
    """See `storage_of`."""


class Layer:
    """A layer: its parameters, and the values that go in.

    Every nested message that is opened through `message` is checked for unread fields at the end.
    """

    def __init__(
        self, *, name: str, kind: str, parameters: Message, inputs: Sequence[Tensor], outputs: int
    ) -> None:
        """Describe a layer.

        Args:
            name: Its name in the file.
            kind: Its type, such as `convolution`.
            parameters: The message of that type.
            inputs: What goes in.
            outputs: How many values come out.
        """
        self.where = f"layer {name!r} ({kind})"
        self.name, self.kind, self.parameters = name, kind, parameters
        self.inputs, self.outputs = tuple(inputs), outputs
        self.stored: list[StoredWeights] = []
        """What `weights` has read so far."""
        self._opened = [parameters]

    def unsupported(self, what: str) -> UnsupportedError:
        """What to raise on something that mobilecv does not run."""
        return UnsupportedError(
            f"{self.where}: {what}; mobilecv does not run that and will not guess, please report "
            "it with the tool that wrote the file"
        )

    def damaged(self, what: str) -> BundleError:
        """What to raise on something that breaks the specification."""
        return BundleError(f"{self.where}: {what}; convert the model again")

    @property
    def input(self) -> Tensor:
        """The only input."""
        return self.expect(1)[0]

    def expect(self, count: int, *, rank: int = 0) -> tuple[Tensor, ...]:
        """Exactly so many inputs, each of at least this rank."""
        if len(self.inputs) != count:
            raise self.damaged(f"{len(self.inputs)} inputs, expected {count}")
        for tensor in self.inputs:
            if tensor.rank < rank:
                raise self.damaged(f"input of shape {tensor.shape}, expected rank {rank} or more")
        return self.inputs

    def message(self, field: str, within: Message | None = None) -> Message:
        """Open a message among the parameters, or in one of these."""
        opened = (within or self.parameters).message(field)
        self._opened.append(opened)
        return opened

    def messages(self, field: str, within: Message) -> list[Message]:
        """Open a repeated message."""
        opened = within.messages(field)
        self._opened += opened
        return opened

    def flag(self, field: str) -> bool:
        """A boolean parameter."""
        return bool(self.parameters.integer(field))

    def real(self, field: str, *, default: float = 0.0) -> float:
        """A number; the default stands for 0 too, as the specification has it."""
        return self.parameters.real(field) or default

    def integer(self, field: str) -> int:
        """A whole number of either sign."""
        return self.parameters.integer(field)

    def count(self, field: str) -> int:
        """A number of things, at least 1."""
        return self._sizes(field, [self.parameters.integer(field)])[0]

    def choice(self, field: str, names: Sequence[str], within: Message | None = None) -> str:
        """The name of an enumeration's value."""
        value = (within or self.parameters).integer(field)
        if not 0 <= value < len(names):
            raise self.unsupported(f"{field} {value}, known are 0 to {len(names) - 1}")
        return names[value]

    def sizes(self, field: str) -> Shape:
        """A list of positive sizes: a shape."""
        return self._sizes(field, self.parameters.integers(field))

    def pair(self, field: str, default: tuple[int, int]) -> tuple[int, int]:
        """Two positive numbers, for height and width."""
        values = self.sizes(field) or default
        if len(values) != 2:
            raise self.damaged(f"{field} has {len(values)} values, expected 2 (height, width)")
        return values[0], values[1]

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front, of one that may be counted from the back."""
        if not -rank <= value < rank:
            raise self.damaged(f"axis {value} of a tensor of rank {rank}")
        return value % rank

    def axes(self, field: str, rank: int) -> list[int]:
        """A list of distinct axes, counted from the front."""
        found = [self.axis(value, rank) for value in self.parameters.integers(field)]
        if len(set(found)) != len(found):
            raise self.damaged(f"{field} names an axis twice")
        return found

    def weights(
        self,
        field: str,
        shape: Sequence[int],
        *,
        within: Message | None = None,
        channel_axis: int = 0,
    ) -> Weights:
        """The values of a weight parameter."""
        message = (within or self.parameters).message(field)
        where = f"{self.where}: {field}"
        values = read_weights(message, tuple(shape), where, channel_axis=channel_axis)
        stored = StoredWeights(field=field, shape=tuple(shape), storage=storage_of(message))
        self.stored.append(stored)
        return values

    def refuse_unread(self) -> None:
        """Refuse the layer if it holds a field that nobody has looked at.

        Raises:
            UnsupportedError: Naming the field.
        """
        for message in self._opened:
            refuse_unread(message, self.where)

    def _sizes(self, field: str, values: Sequence[int]) -> Shape:
        if any(not 1 <= value <= _LARGEST_SIZE for value in values):
            raise self.damaged(f"{field} is {list(values)}, expected positive sizes")
        return tuple(values)
