"""Checkpoints: state dicts with an architecture, and pickled modules where the user allows them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.architectures import Architecture
from mobilecv.sources.loading import LoadOptions
from mobilecv.sources.pytorch.files import FileKind, read_pickle
from mobilecv.sources.pytorch.network import Network, settled
from mobilecv.sources.pytorch.pickles import classes_beyond_tensors, imported_names
from mobilecv.sources.pytorch.state_dicts import StateDict
from mobilecv.sources.pytorch.zoo import suggestion_of_module
from mobilecv.sources.user_code import importing_from
from mobilecv_runtime.errors import SourceError, UsageError, guest

_MODULES: Final = ("torch.nn.modules.", "torchvision.", "timm.")
_SHOWN: Final = 5


def check_checkpoint(path: Path, kind: FileKind, loading: LoadOptions) -> None:
    """Look for what is wrong before torch is started.

    Raises:
        SourceError: If it is a pickle that would run code, and that is not allowed.
        UsageError: If it holds weights only, and no architecture is stated or can be.
    """
    if kind != "safetensors" and not loading.allow_pickle:
        _refuse_classes(path, foreign_names(path))
    if loading.architecture is not None:
        Architecture.parse(loading.architecture).check(loading.architecture_args, "pytorch")
    elif not loading.allow_pickle:
        raise UsageError(
            f"{path}: holds weights without a network; name what builds it with --architecture, "
            "such as torchvision.models:resnet18, timm:efficientnet_b0 or my_model.py:build"
        )


def foreign_names(path: Path) -> tuple[str, ...]:
    """What a checkpoint's pickle would import beyond tensors and containers.

    Raises:
        SourceError: If it is damaged.
    """
    try:
        return classes_beyond_tensors(imported_names(read_pickle(path)))
    except ValueError as error:
        raise SourceError(f"{path}: damaged ({error}); copy it again") from error


def load_checkpoint(path: Path, kind: FileKind, loading: LoadOptions) -> Network:
    """Load a state dict into its architecture, or a pickled module.

    Raises:
        SourceError: If the file or the architecture fails, or one does not fit the other.
        UsageError: If an architecture is needed and missing.
    """
    torch = guest("torch", extra="torch")
    content = _read(path, kind, loading)
    if isinstance(content, torch.nn.Module):
        if loading.architecture is not None:
            raise UsageError(
                f"{path}: holds a pickled {type(content).__name__}, which brings its own network; "
                "leave --architecture out"
            )
        module, notes = settled(content, str(path))
        return Network(module=module, notes=notes, suggested=suggestion_of_module(content))
    found = StateDict.find(content, str(path))
    if loading.architecture is None:
        raise UsageError(
            f"{path}: holds weights without a network; name what builds it with --architecture"
        )
    return _filled(path, found, Architecture.parse(loading.architecture), loading)


def _filled(
    path: Path, found: StateDict, architecture: Architecture, loading: LoadOptions
) -> Network:
    torch = guest("torch", extra="torch")
    network = architecture.build(loading.architecture_args, loading.folder or Path.cwd())
    if not isinstance(network, torch.nn.Module):
        raise SourceError(
            f"--architecture {architecture}: gave a {type(network).__name__}; expected a function "
            "or class that gives a torch.nn.Module"
        )
    named = found.named_for(network)
    named.load_into(network, str(path), str(architecture))
    module, _ = settled(network, str(path))
    return Network(
        module=module,
        notes=tuple(named.notes()),
        tools=architecture.tools(),
        suggested=architecture.suggestion(),
    )


def _read(path: Path, kind: FileKind, loading: LoadOptions) -> Any:
    torch = guest("torch", extra="torch")
    try:
        if kind == "safetensors":
            return guest("safetensors.torch", extra="torch").load_file(str(path), device="cpu")
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    # torch.load raises whatever the file leads to.
    except Exception as error:
        if not loading.allow_pickle or kind == "safetensors":
            message = " ".join(str(error).split())[:200]
            raise SourceError(f"{path}: torch cannot load it: {message}") from error
    return _unpickled(path, loading)


def _unpickled(path: Path, loading: LoadOptions) -> Any:
    """Load by running what the pickle names: the user has said that they trust the file."""
    torch = guest("torch", extra="torch")
    with importing_from(path.parent), importing_from(loading.folder or Path.cwd()):
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        # Unpickling raises anything.
        except Exception as error:
            message = " ".join(str(error).split())[:300]
            raise SourceError(
                f"{path}: unpickling fails: {type(error).__name__}: {message}; run mobilecv in "
                "the folder from which its classes can be imported, or save a state dict"
            ) from error


def _harmless() -> list[Any]:
    """Classes that run no code when unpickled and lie in many checkpoints beside the weights.

    `argparse.Namespace` takes attributes and nothing else. `numpy`'s scalars are made from a data
    type and bytes; torch's documentation of `weights_only` names the same ones. Older files call
    numpy's private package by its former name.
    """
    import argparse

    import numpy as np

    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    kinds = {type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "?")}
    return [
        argparse.Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *kinds,
    ]


def _refuse_classes(path: Path, names: Iterable[str]) -> None:
    listed = list(names)
    if not listed:
        return
    shown = ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
    if any(name.startswith(_MODULES) for name in listed):
        raise SourceError(
            f"{path}: a pickled module; loading it runs whatever code the file names ({shown}); "
            "save model.state_dict() and export that with --architecture, or pass --allow-pickle "
            "if you trust whoever made the file"
        )
    raise SourceError(
        f"{path}: a checkpoint that holds more than tensors; loading it runs whatever code the "
        f"file names ({shown}); save model.state_dict() alone, or pass --allow-pickle if you "
        "trust whoever made the file"
    )
