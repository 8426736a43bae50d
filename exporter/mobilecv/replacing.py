"""Gives attributes of a framework other values for a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, values: Mapping[str, Any]) -> Iterator[None]:
    """Give attributes other values, as far as all of them are there.

    Where an owner does not have them all, as another version of a framework may not, none is given.

    Args:
        owner: A module or a class; None for one that is not there.
        values: Attribute -> its value inside.
    """
    if not all(hasattr(owner, name) for name in values):
        yield
        return
    own = vars(owner)
    old = {name: own[name] for name in values if name in own}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name in values:
            if name in old:
                setattr(owner, name, old[name])
            else:  # It was inherited.
                delattr(owner, name)


def module_or_none(name: str) -> Any:
    """A module of a framework; None if this version has none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None
