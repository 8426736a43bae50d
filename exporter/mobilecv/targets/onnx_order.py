"""Gives an ONNX graph from tf2onnx the same order and names in every run.

tf2onnx 1.17 walks through sets of objects, so that which of two equal constants survives, and the
numbers in its names, change from run to run (https://github.com/onnx/tensorflow-onnx/issues/1789).
What does not change is the computation, so order and names are derived from that.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final

_NUMBERED: Final = re.compile(r"__\d+")
"""What tf2onnx appends to the names that it makes up."""


def put_in_order(graph: Any) -> None:
    """Order nodes as the outputs need them, and name nodes, values and weights after that order.

    Names of the source's layers are kept; inputs and outputs keep their names.
    """
    nodes = _needed_order(graph)
    kept = {value.name for value in (*graph.input, *graph.output)}
    names = {name: name for name in kept} | {"": ""}
    taken: Counter[str] = Counter(kept)
    weights = {weight.name: weight for weight in graph.initializer}
    ordered = []
    for node in nodes:
        node.name = _unique(_plain(node.name or node.op_type), taken)
        for number, name in enumerate(node.input):
            if name not in names:
                # Only a weight has not been named by the node that makes it.
                names[name] = _unique(f"{node.name}/input_{number}", taken)
                ordered.append(weights[name])
        for number, name in enumerate(node.output):
            if name not in names:
                names[name] = _unique(f"{node.name}:{number}", taken)
        _rename(node.input, names)
        _rename(node.output, names)
    for weight in ordered:
        weight.name = names[weight.name]
    _arrange(graph.node, nodes)
    _arrange(graph.initializer, ordered)
    del graph.value_info[:]


def sort_nodes(graph: Any) -> None:
    """Put every node behind those that it needs; those that no output needs go."""
    _arrange(graph.node, _needed_order(graph))


def _needed_order(graph: Any) -> list[Any]:
    """Every node behind those that it needs, starting from the outputs, inputs in their order."""
    makers = {name: node for node in graph.node for name in node.output}
    done: set[str] = set()
    ordered = []
    pending = [(value.name, False) for value in reversed(graph.output)]
    while pending:
        name, inputs_are_done = pending.pop()
        node = makers.get(name)
        if node is None or node.output[0] in done:
            continue
        if inputs_are_done:
            done.add(node.output[0])
            ordered.append(node)
        else:
            pending.append((name, True))
            pending.extend((source, False) for source in reversed(node.input))
    return ordered


def _plain(name: str) -> str:
    return _NUMBERED.sub("", name)


def _unique(name: str, taken: Counter[str]) -> str:
    taken[name] += 1
    return name if taken[name] == 1 else _unique(f"{name}_{taken[name]}", taken)


def _rename(names: Any, new: dict[str, str]) -> None:
    for index, name in enumerate(names):
        names[index] = new[name]


def _arrange(repeated: Any, items: list[Any]) -> None:
    """Leave some entries of a field, in their order, without copying them."""
    # As long as an entry is held, protobuf gives out the same object for it.
    places = {id(item): place for place, item in enumerate(items)}
    repeated.sort(key=lambda entry: places.get(id(entry), len(items)))
    del repeated[len(items) :]
