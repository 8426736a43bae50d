"""The code that this user has let mobilecv run, so that `verify` need not ask again.

A bundle names the code that builds its source. Bundles come from strangers too, so what a manifest
says is never enough: code runs when it is one of the published collections, or when this user has
named the very same thing to `mobilecv export` before. That is kept in one file of the user's own.
"""

from __future__ import annotations

import dataclasses
import importlib.machinery
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.architectures import Architecture
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import OutputError

STATE_VARIABLE: Final = "MOBILECV_STATE_DIR"
_FILE: Final = "trusted.json"


def state_folder() -> Path:
    """Where mobilecv keeps what it remembers about this user.

    The places are those of the XDG Base Directory Specification 0.8, and of Apple's and
    Microsoft's guides.
    """
    stated = os.environ.get(STATE_VARIABLE)
    if stated:
        return Path(stated)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mobilecv"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "mobilecv"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mobilecv"


def runs_code(loading: LoadOptions) -> bool:
    """Whether options let code of the user's or the file's run."""
    if loading.allow_pickle or loading.allow_code or loading.custom_objects is not None:
        return True
    named = loading.architecture
    return named is not None and Architecture.parse(named).runs_code


def remember(loading: LoadOptions, source: Path) -> None:
    """Keep what the user has let run for a source.

    Raises:
        OutputError: If the list cannot be written.
    """
    known = _known()
    fresh = [claim for claim in _claims(loading, source, Path.cwd()) if claim not in known]
    if not fresh:
        return
    path = state_folder() / _FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{_FILE}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump([*known, *fresh], file, indent=1)
        Path(partial).replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def recall(loading: LoadOptions, source: Path) -> LoadOptions | None:
    """The same options with the folder that imports start from, or None if they are not known.

    Options that run no code are always known.
    """
    if not _claims(loading, source, Path.cwd()):
        return loading
    known = _known()
    for folder in dict.fromkeys(str(claim.get("folder")) for claim in known):
        if all(claim in known for claim in _claims(loading, source, Path(folder))):
            return dataclasses.replace(loading, folder=Path(folder))
    return None


def _claims(loading: LoadOptions, source: Path, folder: Path) -> list[dict[str, Any]]:
    """What would run, exactly enough that nothing else can pass for it.

    A digest alone would not do: code imports its neighbours, so its place is part of it.
    """
    claims: list[dict[str, Any]] = []
    if loading.architecture is not None:
        architecture = Architecture.parse(loading.architecture)
        if architecture.runs_code:
            arguments = dict(loading.architecture_args)
            claims.append({**_code(architecture, folder), "arguments": arguments})
    if loading.custom_objects is not None:
        claims.append(_code(CustomObjects.parse(loading.custom_objects), folder))
    if loading.allow_pickle:
        claims.append({"pickle": str(source.resolve()), "sha256": _digest(source)})
    if loading.allow_code:
        claims.append({"lambda": str(source.resolve()), "sha256": _digest(source)})
    return [{**claim, "folder": str(folder.resolve())} for claim in claims]


def _code(named: Architecture | CustomObjects, folder: Path) -> dict[str, Any]:
    if named.file is not None:
        file = named.file.resolve()
        return {"code": str(dataclasses.replace(named, place=str(file))), "sha256": _digest(file)}
    package = named.place.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(package, [str(folder), *sys.path])
    return {"code": str(named), "origin": str(spec.origin if spec else None)}


def _digest(file: Path) -> str | None:
    return digest_of(file) if file.is_file() else None


def _known() -> list[dict[str, Any]]:
    """The list; one that cannot be read is an empty one, which trusts nothing."""
    try:
        data = json.loads((state_folder() / _FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return [claim for claim in data if isinstance(claim, dict)] if isinstance(data, list) else []
