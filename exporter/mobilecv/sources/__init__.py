"""The kinds of trained models that can be exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mobilecv.sources import keras
from mobilecv.sources.base import Reference, SourceDescription, SourceModel, SourceSession
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.spec import Contract

SOURCES: Final[Mapping[str, Callable[..., SourceModel]]] = dict.fromkeys(
    keras.SUFFIXES, keras.KerasSource.load
)
"""How a file is loaded, by its suffix."""

__all__ = [
    "SOURCES",
    "SourceDescription",
    "SourceModel",
    "SourceSession",
    "check_source_file",
    "open_reference",
    "open_session",
    "wrap_model",
]


def check_source_file(path: Path) -> None:
    """Refuse a file that cannot be a source, before any framework is started.

    Raises:
        SourceError: If it is missing, empty, truncated or of an unknown kind.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file")
    if path.suffix.lower() not in SOURCES:
        raise SourceError(f"{path}: unknown kind of model; known are {', '.join(SOURCES)}")
    keras.check_file(path)


def open_session(path: Path) -> SourceSession:
    """Load a file in this process and hold it; see `SOURCES` for what is raised."""
    return SourceSession(SOURCES[path.suffix.lower()](path))


def open_reference(path: Path, contract: Contract, threads: int | None) -> Reference:
    """Load a file in this process as a runner; see `SOURCES` for what is raised."""
    return Reference(SOURCES[path.suffix.lower()](path, threads=threads), contract)


def wrap_model(model: object) -> SourceModel:
    """Take a model that is in memory already.

    Raises:
        SourceError: If it is of an unknown kind, or no image classifier.
    """
    if keras.is_keras_model(model):
        return keras.KerasSource(model, getattr(model, "name", "the model"))
    raise SourceError(
        f"a {type(model).__name__} cannot be exported; give a Keras model or the path of a file"
    )
