"""Which layer of a weight file belongs to which layer of a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mobilecv_runtime.errors import SourceError

_SHOWN: Final = 4
_NUMBERED: Final = re.compile(r".*_\d+")
"""A name as Keras gives them, whose number depends on what was built before."""


class Holder(Protocol):
    """A layer with weights, of a file or of a network."""

    @property
    def name(self) -> str:
        """Its own name; empty if it is not known."""

    @property
    def place(self) -> str:
        """Its number among the layers with weights, or its path."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Those of its weights."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Every layer of a network with its layer of the file."""

    pairs: tuple[tuple[Any, Any], ...]
    """(of the file, of the network)."""
    notes: tuple[str, ...]
    """How they were found, and what of the file is left over."""


def match(
    saved: Sequence[Holder], wanted: Sequence[Holder], name: str, architecture: str
) -> Matching:
    """Find the weights of every layer.

    Names that are the same on both sides decide. Where they are not, as with the numbers that Keras
    gives (`conv2d_7`), the places do, if there are as many, every shape agrees and no name that
    people gave says otherwise. Else names decide as far as they go, as they do for
    `load_weights(by_name=True)`.

    Args:
        saved: The layers of the file that have weights.
        wanted: Those of the network.
        name: What messages call the file.
        architecture: What they call the network.

    Raises:
        SourceError: If a layer would stay at random values, or a shape differs.
    """
    if not wanted:
        raise SourceError(f"--architecture {architecture}: gave a network without any weights")
    fits = f"{name}: its weights are not those of {architecture}"
    named = {each.name: each for each in saved} if _tells(saved) else {}
    placed = {each.place: each for each in saved}
    names = {each.name for each in wanted} if _tells(wanted) else set()
    same_places = placed.keys() == {each.place for each in wanted} and not any(
        each.name in named and named[each.name].place != each.place
        for each in wanted
        if not _NUMBERED.fullmatch(each.name)
    )
    if names and names == named.keys():
        pairs = [(named[each.name], each) for each in wanted]
        _check_shapes(pairs, name, architecture)
        in_order = all(one.place == other.place for one, other in pairs)
        how = "name" if in_order else "name (their order differs)"
        return Matching(pairs=tuple(pairs), notes=(_found(len(pairs), how),))
    if same_places:
        pairs = [(placed[each.place], each) for each in wanted]
        fitting = sum(_fit(one, other) for one, other in pairs)
        if fitting == len(pairs):
            how = "their order, since their names are not the network's" if names else "path"
            return Matching(pairs=tuple(pairs), notes=(_found(fitting, how),))
        if fitting and not names & named.keys():
            _check_shapes(pairs, name, architecture)
    shared = [(named[each.name], each) for each in wanted if each.name in named]
    if not shared:
        raise SourceError(
            f"{fits}: nothing matches; the file has {_listed(saved)}, the network "
            f"{_listed(wanted)}; check --architecture and --architecture-args"
        )
    _check_shapes(shared, name, architecture)
    missing = [each for each in wanted if each.name not in named]
    spare = [each for each in saved if each.name not in names]
    if missing:
        raise SourceError(
            f"{fits}: {len(shared)} of {len(wanted)} layers matched by name; "
            f"{_listed(missing)} would stay at random values, and {_listed(spare)} of the file "
            "would be left over; check --architecture and --architecture-args"
        )
    left = f"weights: {_listed(spare)} of the file left out, the network has none of that name"
    return Matching(pairs=tuple(shared), notes=(_found(len(shared), "name"), left))


def _tells(holders: Sequence[Holder]) -> bool:
    """Whether every layer has a name of its own."""
    counted = Counter(each.name for each in holders)
    return "" not in counted and max(counted.values(), default=1) == 1


def _fit(one: Holder, other: Holder) -> bool:
    return sorted(one.shapes) == sorted(other.shapes)


def _found(count: int, how: str) -> str:
    return f"weights: all {count} layers found by {how}"


def _check_shapes(pairs: Iterable[tuple[Holder, Holder]], name: str, architecture: str) -> None:
    differing = [(one, other) for one, other in pairs if not _fit(one, other)]
    if not differing:
        return
    told = [
        f"{other.name or other.place} is {_sizes(one)} in the file and {_sizes(other)} in the "
        "network"
        for one, other in differing[:_SHOWN]
    ]
    more = f" (and {len(differing) - _SHOWN} more)" if len(differing) > _SHOWN else ""
    raise SourceError(
        f"{name}: does not fit {architecture}: {', '.join(told)}{more}; {_advice(differing)}"
    )


def _advice(differing: list[tuple[Holder, Holder]]) -> str:
    """A last layer of another width alone means another number of classes."""
    (one, other), *others = differing
    same_but_last = [shape[:-1] for shape in one.shapes] == [shape[:-1] for shape in other.shapes]
    if not others and same_but_last and one.shapes:
        return f"if these are the classes, the network must be built for {one.shapes[-1][-1]}"
    return "check --architecture and --architecture-args"


def _sizes(holder: Holder) -> str:
    return " + ".join("x".join(map(str, shape)) or "one value" for shape in holder.shapes) or "none"


def _listed(holders: Sequence[Holder]) -> str:
    if not holders:
        return "no layer"
    shown = ", ".join(
        f"{each.name or each.place} ({_sizes(each)})" for each in holders[:_SHOWN]
    ) + (", ..." if len(holders) > _SHOWN else "")
    return f"{len(holders)} layers ({shown})" if len(holders) > 1 else f"the layer {shown}"
