"""The kinds of trained models that can be exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobilecv.sources.base import (
    Reference,
    SourceDescription,
    SourceModel,
    SourceSession,
    StatedInput,
    SuggestedInput,
)
from mobilecv.sources.keras import files as keras_files
from mobilecv.sources.keras import source as keras
from mobilecv.sources.keras.inspection import inspect_keras
from mobilecv.sources.keras.opening import open_keras
from mobilecv.sources.keras.saved_model_files import check_saved_model, inspect_saved_model
from mobilecv.sources.keras.saved_models import SavedModelSource
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions, refuse_custom_objects
from mobilecv.sources.pytorch import files as torch_files
from mobilecv.sources.pytorch import source as pytorch
from mobilecv.sources.pytorch.inspection import inspect_torch
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.inspection import Inspection
from mobilecv_runtime.spec import Contract


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """What can be done with the files of one framework."""

    check: Callable[[Path, LoadOptions], object]
    """Refuses a file before the framework is started."""
    load: Callable[[Path, LoadOptions, int | None], SourceModel]
    """Loads a file; the last argument is the number of threads."""
    inspect: Callable[[Path], Inspection]


_KERAS: Final = SourceKind(check=keras_files.check_file, load=open_keras, inspect=inspect_keras)
TORCH: Final = SourceKind(
    check=pytorch.check_file, load=pytorch.TorchSource.load, inspect=inspect_torch
)
_SAVED_MODEL: Final = SourceKind(
    check=check_saved_model, load=SavedModelSource.load, inspect=inspect_saved_model
)

SOURCES: Final[Mapping[str, SourceKind]] = {
    **dict.fromkeys(keras_files.SUFFIXES, _KERAS),
    **dict.fromkeys(torch_files.SUFFIXES, TORCH),
}
"""The kind of a file, by its suffix; a folder is a SavedModel, whatever its name."""

__all__ = [
    "SOURCES",
    "TORCH",
    "LoadOptions",
    "SourceDescription",
    "SourceModel",
    "SourceSession",
    "StatedInput",
    "SuggestedInput",
    "check_source_file",
    "kind_of",
    "model_name",
    "open_reference",
    "open_session",
    "wrap_model",
]


def check_source_file(path: Path, loading: LoadOptions = NOTHING_STATED) -> None:
    """Refuse a file or folder that cannot be a source, before any framework is started.

    Raises:
        SourceError: If it is missing, empty, truncated or of an unknown kind, or would run code
            that `loading` does not allow.
        UsageError: If what `loading` states is missing or does not go with the file.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file")
    kind = kind_of(path)
    if kind is not _KERAS:
        refuse_custom_objects(path, loading)
    kind.check(path, loading)


def kind_of(path: Path) -> SourceKind:
    """What a source is, told by its suffix, or by its being a folder.

    Raises:
        SourceError: If it is of an unknown kind.
    """
    if path.is_dir():
        return _SAVED_MODEL
    if path.suffix.lower() not in SOURCES:
        raise SourceError(
            f"{path}: unknown kind of model; known are {', '.join(SOURCES)} and SavedModel folders"
        )
    return SOURCES[path.suffix.lower()]


def open_session(path: Path, loading: LoadOptions = NOTHING_STATED) -> SourceSession:
    """Load a file in this process and hold it; see `kind_of` and its `load` for what is raised."""
    return SourceSession(kind_of(path).load(path, loading, None))


def open_reference(
    path: Path, loading: LoadOptions, contract: Contract, threads: int | None
) -> Reference:
    """Load a file in this process as a runner; see `kind_of` and its `load` for what is raised."""
    return Reference(kind_of(path).load(path, loading, threads), contract)


def wrap_model(model: object) -> SourceModel:
    """Take a model that is in memory already.

    Raises:
        SourceError: If it is of an unknown kind, or no image classifier.
    """
    if keras.is_keras_model(model):
        return keras.KerasSource(model, model_name(model))
    if pytorch.is_torch_module(model):
        return pytorch.TorchSource.of_module(model)
    raise SourceError(
        f"a {type(model).__name__} cannot be exported; give a Keras model, a torch.nn.Module or "
        "the path of a file"
    )


def model_name(model: object) -> str:
    """What a model in memory is called."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) else type(model).__name__
