"""One operation of an ML Program, as its lowering sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.lowering import UnsupportedError
from mobilecv_runtime.coreml.mil.values import Computed, Constant, TensorType
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.errors import BundleError

Argument: TypeAlias = Constant | Computed


class Call:
    """An operation with its arguments; it counts which of them were read."""

    def __init__(
        self,
        operation: str,
        arguments: Mapping[str, Sequence[Argument]],
        results: Sequence[TensorType],
        graph: OnnxGraph,
    ) -> None:
        """Take an operation.

        Args:
            operation: Its type and name, for messages.
            arguments: Parameter -> what is bound to it; several only for tuples.
            results: What the program says of the results.
            graph: Where it is lowered to.
        """
        self.operation = operation
        self.results = tuple(results)
        self.graph = graph
        self._arguments = arguments
        self._read: set[str] = set()

    @property
    def result(self) -> TensorType:
        """The type of the only result."""
        if len(self.results) != 1:
            raise BundleError(f"{self.operation}: {len(self.results)} results instead of one")
        return self.results[0]

    def unread(self) -> list[str]:
        """The parameters that nobody has looked at."""
        return sorted(self._arguments.keys() - self._read)

    def refuse(self, reason: str) -> UnsupportedError:
        """The error that refuses this operation."""
        return UnsupportedError(
            f"{self.operation}: {reason}; mobilecv will not guess, verify this file on a Mac"
        )

    def has(self, parameter: str) -> bool:
        """Whether an optional parameter is given."""
        self._read.add(parameter)
        return parameter in self._arguments

    def values(self, parameter: str) -> Sequence[Argument]:
        """All that is bound to a parameter that takes several tensors."""
        if not self.has(parameter) or not self._arguments[parameter]:
            raise BundleError(f"{self.operation}: the parameter {parameter} is missing")
        return self._arguments[parameter]

    def value(self, parameter: str) -> Argument:
        """What is bound to a parameter."""
        values = self.values(parameter)
        if len(values) != 1:
            raise BundleError(f"{self.operation}: {parameter} takes one value, not {len(values)}")
        return values[0]

    def shape(self, parameter: str) -> tuple[int, ...]:
        """The shape of an argument."""
        return self.value(parameter).type.shape

    def dtype(self, parameter: str) -> str:
        """The element type of an argument."""
        return self.value(parameter).type.dtype

    def tensor(self, parameter: str) -> str:
        """An argument as a value of the graph."""
        return self.hold(self.value(parameter))

    def tensors(self, parameter: str) -> list[str]:
        """Several arguments as values of the graph."""
        return [self.hold(value) for value in self.values(parameter)]

    def hold(self, value: Argument) -> str:
        """A value as a value of the graph, where float16 is held as float32."""
        return value.name if isinstance(value, Computed) else self.constant(value.array)

    def constant(self, array: NDArray[Any]) -> str:
        """A constant as a value of the graph, where float16 is held as float32."""
        return self.graph.constant(array.astype(np.float32) if array.dtype.kind == "f" else array)

    def array(self, parameter: str) -> NDArray[Any]:
        """A parameter that has to be constant."""
        value = self.value(parameter)
        if isinstance(value, Computed):
            raise self.refuse(f"its {parameter} is not constant")
        return value.array

    def integers(self, parameter: str, default: Sequence[int] | None = None) -> list[int]:
        """A vector of integers; without a default it is required."""
        if default is not None and not self.has(parameter):
            return list(default)
        array = self.array(parameter)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise BundleError(f"{self.operation}: {parameter} is no vector of integers")
        return [int(number) for number in array.reshape(-1)]

    def integer(self, parameter: str, default: int | None = None) -> int:
        """An integer; without a default it is required."""
        if default is not None and not self.has(parameter):
            return default
        return int(self._scalar(parameter, "iu"))

    def real(self, parameter: str, default: float | None = None) -> float:
        """A number; without a default it is required."""
        if default is not None and not self.has(parameter):
            return default
        return float(self._scalar(parameter, "f"))

    def flag(self, parameter: str, default: bool | None = None) -> bool:  # noqa: FBT001
        """A truth value; without a default it is required."""
        if default is not None and not self.has(parameter):
            return default
        return bool(self._scalar(parameter, "b"))

    def flags(self, parameter: str, count: int) -> list[bool]:
        """A vector of truth values, all false by default."""
        if not self.has(parameter):
            return [False] * count
        array = self.array(parameter)
        if array.dtype.kind != "b" or array.shape != (count,):
            raise BundleError(f"{self.operation}: {parameter} is no vector of {count} booleans")
        return [bool(flag) for flag in array]

    def choice(self, parameter: str, choices: Sequence[str], default: str | None = None) -> str:
        """One word of several; without a default it is required."""
        if default is not None and not self.has(parameter):
            return default
        word = str(self._scalar(parameter, "O"))
        if word not in choices:
            raise self.refuse(f"its {parameter} is {word!r}, not one of {', '.join(choices)}")
        return word

    def axis(self, parameter: str, rank: int, default: int | None = None) -> int:
        """An axis, counted from the front."""
        return self.front(self.integer(parameter, default), rank)

    def axes(self, parameter: str, rank: int, default: Sequence[int] | None = None) -> list[int]:
        """Different axes, counted from the front, ascending."""
        axes = sorted(self.front(axis, rank) for axis in self.integers(parameter, default))
        if len(set(axes)) != len(axes):
            raise BundleError(f"{self.operation}: {parameter} names an axis twice")
        return axes

    def front(self, axis: int, rank: int) -> int:
        """An axis, negative ones counted from the back, as counted from the front."""
        if not -rank <= axis < rank:
            raise BundleError(f"{self.operation}: axis {axis} of a tensor of rank {rank}")
        return axis % rank

    def require_float(self, parameter: str) -> None:
        """Refuse integers where the specification knows floats only."""
        if not self.dtype(parameter).startswith("float"):
            raise self.refuse(f"its {parameter} is {self.dtype(parameter)}, not float")

    def _scalar(self, parameter: str, kinds: str) -> Any:
        array = self.array(parameter)
        if array.size != 1 or array.dtype.kind not in kinds:
            raise BundleError(f"{self.operation}: {parameter} is {array.dtype}{array.shape}")
        return array.reshape(-1)[0]


Lowering: TypeAlias = Callable[[Call], str | list[str]]
"""Adds an operation to the graph and returns the names of its results there."""

Expansion: TypeAlias = Callable[[Call], NDArray[Any] | list[NDArray[Any]]]
"""Computes the results of an operation on constants."""
