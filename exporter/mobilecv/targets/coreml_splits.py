"""Keeps coremltools from a fault in its constant propagation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from mobilecv.replacing import module_or_none, replaced

_CONSTANTS: Final = (
    "coremltools.converters.mil.frontend.tensorflow.tf_graph_pass.constant_propagation"
)
_OF_SEVERAL_OUTPUTS: Final = frozenset({"Split", "SplitV", "Unpack"})
"""Operations of TensorFlow."""


@contextmanager
def split_constants_left(source: str) -> Iterator[None]:
    """Inside, constants that are split stay operations, and so does all that is computed from them.

    The pass `constant_propagation` of coremltools 9.0 counts the outputs of such an operation
    wrongly, and then computes no constant of the network at all. Left as they are, it converts
    them; the first step of a recurrent layer has some.

    Args:
        source: What is converted: "tensorflow", or "pytorch", which is not concerned.
    """
    module = module_or_none(_CONSTANTS) if source == "tensorflow" else None
    determined: Any = getattr(module, "const_determined_nodes", None)

    def to_compute(nodes: Mapping[str, Any], *arguments: Any) -> list[str]:
        found: list[str] = determined(nodes, *arguments)
        left = _behind_splits(found, nodes)
        return [name for name in found if name not in left]

    with replaced(module, {"const_determined_nodes": to_compute}):
        yield


def _behind_splits(names: Iterable[str], nodes: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    pending = [name for name in names if nodes[name].op in _OF_SEVERAL_OUTPUTS]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(nodes[name].outputs)
    return found
