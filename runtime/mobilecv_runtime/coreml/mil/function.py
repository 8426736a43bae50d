"""Lowers the operations of a function of an ML Program, one after the other."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from mobilecv_runtime.coreml.lowering import Arithmetic, UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.mil.call import Argument, Call
from mobilecv_runtime.coreml.mil.compressed import COMPRESSED
from mobilecv_runtime.coreml.mil.operations import EXACT, LOWERINGS
from mobilecv_runtime.coreml.mil.values import (
    Computed,
    Constant,
    Constants,
    TensorType,
    tensor_type,
)
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

_FLOAT16: Final = 10
_FLOAT32: Final = 1

_DAMAGE: Final = (ValueError, IndexError, OverflowError, TypeError, struct.error)
"""What numpy and onnx raise on parameters that no converter writes."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classifier head of a program."""

    probabilities: Argument
    labels: tuple[str, ...]
    results: tuple[str, ...]
    """The names of the best label and of the dictionary."""


class FunctionLowering:
    """The state of a function that is being lowered."""

    def __init__(self, graph: OnnxGraph, constants: Constants, arithmetic: Arithmetic) -> None:
        """Start with no values.

        Args:
            graph: Where the function is lowered to.
            constants: Reads the weights.
            arithmetic: Whether float16 values are rounded.
        """
        self.values: dict[str, Argument] = {}
        self.classes: Classes | None = None
        self.computed: list[Computed] = []
        """Every result that an operation added to the graph."""
        self._graph, self._constants = graph, constants
        self._rounds = arithmetic == "device-estimate"

    def add(self, operation: Message) -> None:
        """Lower one operation.

        Raises:
            UnsupportedError: If mobilecv does not understand it.
            BundleError: If it is damaged.
        """
        kind = operation.text("type")
        attributes = dict(operation.entries("attributes"))
        where = f"{kind} {self._name(attributes)}".strip()
        if operation.has("blocks"):
            raise UnsupportedError(f"{where}: mobilecv does not run nested blocks")
        try:
            if kind == "const":
                self._add_constant(operation, attributes, where)
            elif kind == "classify":
                self._add_classes(operation, attributes, where)
            else:
                self._add_call(kind, operation, attributes, where)
        except _DAMAGE as error:
            raise BundleError(f"{where}: its parameters are damaged ({error})") from error
        refuse_unread(operation, where)

    def _name(self, attributes: dict[str, Message]) -> str:
        if "name" not in attributes:
            return ""
        constant = self._constants.read(attributes.pop("name"), "an operation's name")
        return str(constant.array)

    def _add_constant(self, operation: Message, attributes: dict[str, Message], where: str) -> None:
        outputs = operation.messages("outputs")
        if len(outputs) != 1 or operation.has("inputs") or attributes.keys() != {"val"}:
            raise UnsupportedError(f"{where}: a constant of an unknown form")
        constant = self._constants.read(attributes["val"], where)
        name, declared = _result(outputs[0], where)
        self._define(name, _as_declared(constant.array, declared, where), where)

    def _add_call(
        self, kind: str, operation: Message, attributes: dict[str, Message], where: str
    ) -> None:
        results = [_result(output, where) for output in operation.messages("outputs")]
        arguments = self._arguments(operation, where)
        if kind in COMPRESSED:
            # Programs for iOS 16 and 17 hold the parameters as attributes, later ones as inputs.
            for name, value in attributes.items():
                arguments[name] = [self._constants.read(value, f"{where}, {name}")]
        elif attributes:
            raise UnsupportedError(f"{where}: mobilecv does not know its {', '.join(attributes)}")
        call = Call(where, arguments, [declared for _, declared in results], self._graph)
        if kind in COMPRESSED:
            self._expand(kind, call, [name for name, _ in results])
        elif kind in LOWERINGS:
            self._lower(kind, call, [name for name, _ in results])
        else:
            raise UnsupportedError(
                f"{where}: mobilecv does not know the operation {kind}; verify this file on a Mac"
            )
        if call.unread():
            raise UnsupportedError(
                f"{where}: mobilecv does not know its parameter {', '.join(call.unread())}; "
                "verify this file on a Mac"
            )

    def _expand(self, kind: str, call: Call, names: Sequence[str]) -> None:
        arrays = COMPRESSED[kind](call)
        listed = arrays if isinstance(arrays, list) else [arrays]
        for name, array, declared in zip(names, listed, call.results, strict=True):
            self._define(name, _as_declared(array, declared, call.operation), call.operation)

    def _lower(self, kind: str, call: Call, names: Sequence[str]) -> None:
        lowered = LOWERINGS[kind](call)
        listed = lowered if isinstance(lowered, list) else [lowered]
        for name, tensor, declared in zip(names, listed, call.results, strict=True):
            if self._rounds and declared.dtype == "float16" and kind not in EXACT:
                tensor = self._rounded(tensor)  # noqa: PLW2901
            computed = Computed(type=declared, name=tensor)
            self.computed.append(computed)
            self._define(name, computed, call.operation)

    def _rounded(self, tensor: str) -> str:
        half = self._graph.node("Cast", [tensor], to=_FLOAT16)
        return self._graph.node("Cast", [half], to=_FLOAT32)

    def _define(self, name: str, value: Argument, where: str) -> None:
        if name in self.values:
            raise BundleError(f"{where}: {name} has a value already")
        self.values[name] = value

    def _arguments(self, operation: Message, where: str) -> dict[str, list[Argument]]:
        return {
            parameter: [
                self._bound(binding, f"{where}, {parameter}")
                for binding in _bindings(argument, where)
            ]
            for parameter, argument in operation.entries("inputs")
        }

    def _bound(self, binding: Message, where: str) -> Argument:
        if binding.has("value"):
            value: Argument = self._constants.read(binding.message("value"), where)
        else:
            name = binding.text("name")
            if name not in self.values:
                raise BundleError(f"{where}: there is no value {name!r}")
            value = self.values[name]
        refuse_unread(binding, where)
        return value

    def _add_classes(self, operation: Message, attributes: dict[str, Message], where: str) -> None:
        if self.classes is not None or attributes:
            raise UnsupportedError(f"{where}: not the only classifier head of the program")
        inputs = dict(operation.entries("inputs"))
        if inputs.keys() != {"probabilities", "classes"}:
            raise UnsupportedError(f"{where}: mobilecv does not know its {', '.join(inputs)}")
        bound = {name: _bindings(argument, where) for name, argument in inputs.items()}
        if any(len(bindings) != 1 for bindings in bound.values()):
            raise BundleError(f"{where}: not one value for each parameter")
        outputs = operation.messages("outputs")
        self.classes = Classes(
            probabilities=self._bound(bound["probabilities"][0], where),
            labels=self._labels(bound["classes"][0], where),
            results=tuple(output.text("name") for output in outputs),
        )
        for output in outputs:
            # The types of a label and of a dictionary follow from what a classifier is.
            output.message("type")
            refuse_unread(output, where)

    def _labels(self, binding: Message, where: str) -> tuple[str, ...]:
        value = binding.message("value")
        value.message("type")
        value.text("docString")
        immediate = value.message("immediateValue")
        if not immediate.has("list"):
            raise UnsupportedError(f"{where}: its labels are no list in the file itself")
        listed = immediate.message("list")
        labels = tuple(
            str(self._constants.read(item, f"{where}, classes").array)
            for item in listed.messages("values")
        )
        for message in (listed, immediate, value, binding):
            refuse_unread(message, where)
        return labels


def _bindings(argument: Message, where: str) -> list[Message]:
    bindings = argument.messages("arguments")
    refuse_unread(argument, where)
    return bindings


def _result(output: Message, where: str) -> tuple[str, TensorType]:
    name, declared = output.text("name"), tensor_type(output.message("type"), where)
    refuse_unread(output, where)
    return name, declared


def _as_declared(array: NDArray[Any], declared: TensorType, where: str) -> Constant:
    if array.shape != declared.shape:
        raise BundleError(f"{where}: its values are {array.shape}, it claims {declared.shape}")
    if array.dtype.kind == "f" and declared.dtype != f"float{array.itemsize * 8}":
        raise BundleError(f"{where}: its values are {array.dtype}, it claims {declared.dtype}")
    return Constant(type=declared, array=array)


def graph_inputs(
    function: Message, tensors: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, Argument]:
    """The inputs of a function, bound to values of the graph.

    Args:
        function: The `Function` message.
        tensors: Name -> (value of the graph, its shape).

    Raises:
        BundleError: If the function's inputs are others.
    """
    bound: dict[str, Argument] = {}
    for message in function.messages("inputs"):
        name, declared = _result(message, "an input of the program")
        if name not in tensors or tensors[name][1] != declared.shape:
            raise BundleError(f"the program's input {name!r} of {declared.shape} is not described")
        if declared.dtype not in ("float16", "float32"):
            raise UnsupportedError(f"the input {name!r} is {declared.dtype}, not float")
        bound[name] = Computed(type=declared, name=tensors[name][0])
    if bound.keys() != tensors.keys():
        raise BundleError(f"the program has the inputs {sorted(bound)}, not {sorted(tensors)}")
    return bound
