"""How a bundle's source is loaded again: what the manifest records of it, and who may run code."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from mobilecv.sources import trust
from mobilecv.sources.architectures import Architecture
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import BundleError, UsageError
from mobilecv_runtime.manifest import LoadingEntry


def recorded(loading: LoadOptions, output: Path) -> LoadingEntry:
    """What the manifest keeps: a file of the user's code with its place relative to the bundle."""
    code: dict[str, Any] = {}
    if loading.architecture is not None:
        architecture = Architecture.parse(loading.architecture)
        code["architecture"] = _placed(architecture, output)
        code["architecture_args"] = dict(loading.architecture_args)
        code["architecture_sha256"] = digest_of(architecture.file) if architecture.file else None
    if loading.custom_objects is not None:
        custom = CustomObjects.parse(loading.custom_objects)
        code["custom_objects"] = _placed(custom, output)
        code["custom_objects_sha256"] = digest_of(custom.file) if custom.file else None
    return LoadingEntry(allow_pickle=loading.allow_pickle, allow_code=loading.allow_code, **code)


def _placed(named: Architecture | CustomObjects, output: Path) -> str:
    if named.file is None:
        return str(named)
    place = Path(os.path.relpath(named.file.absolute(), output.absolute())).as_posix()
    return str(dataclasses.replace(named, place=place))


def loading_of(
    bundle: Bundle, source: Path, stated: LoadOptions
) -> tuple[LoadOptions | None, str | None]:
    """How to load the source of a bundle, or why it is not loaded.

    Code that the manifest names runs only if it is of a published collection, or known to be the
    user's own (see `mobilecv.sources.trust`). What is stated here and now may run as it is.

    Args:
        bundle: The bundle.
        source: Where its source lies.
        stated: What the user says on this command line.

    Returns:
        The options and None, or None and the reason.
    """
    entry = _from_manifest(bundle)
    # Only what is not said again needs to be known.
    unsaid = dataclasses.replace(
        entry,
        architecture=None if stated.architecture else entry.architecture,
        allow_pickle=entry.allow_pickle and not stated.allow_pickle,
        allow_code=entry.allow_code and not stated.allow_code,
        custom_objects=None if stated.custom_objects else entry.custom_objects,
    )
    changed = _changed_file(bundle, unsaid)
    if changed is not None:
        return None, changed
    known = trust.recall(unsaid, source)
    if known is None:
        what, how = _runs(bundle, unsaid)
        return None, (
            f"loading the source would run {what}, which you have not named to mobilecv export on "
            f"this machine; if you trust the bundle, pass {how}"
        )
    return LoadOptions(
        architecture=stated.architecture or entry.architecture,
        architecture_args=stated.architecture_args or entry.architecture_args,
        allow_pickle=stated.allow_pickle or entry.allow_pickle,
        allow_code=stated.allow_code or entry.allow_code,
        custom_objects=stated.custom_objects or entry.custom_objects,
        folder=known.folder,
    ), None


def _from_manifest(bundle: Bundle) -> LoadOptions:
    entry = bundle.manifest.loading
    try:
        architecture = entry.architecture and Architecture.parse(entry.architecture)
        custom = entry.custom_objects and CustomObjects.parse(entry.custom_objects)
    except UsageError as error:
        raise BundleError(f"{bundle.path}: its manifest is damaged: {error}") from error
    return LoadOptions(
        architecture=_found(architecture, bundle) if architecture else None,
        architecture_args=entry.architecture_args or {},
        allow_pickle=entry.allow_pickle,
        allow_code=entry.allow_code,
        custom_objects=_found(custom, bundle) if custom else None,
    )


def _found(named: Architecture | CustomObjects, bundle: Bundle) -> str:
    if named.file is None:
        return str(named)
    return str(dataclasses.replace(named, place=str((bundle.path / named.file).resolve())))


def _changed_file(bundle: Bundle, unsaid: LoadOptions) -> str | None:
    """Why a file of the user's code is not run, if it is another than at the export."""
    entry = bundle.manifest.loading
    architecture = Architecture.parse(unsaid.architecture).file if unsaid.architecture else None
    custom = CustomObjects.parse(unsaid.custom_objects).file if unsaid.custom_objects else None
    for file, digest, option in (
        (architecture, entry.architecture_sha256, "--architecture"),
        (custom, entry.custom_objects_sha256, "--custom-objects"),
    ):
        if file is None:
            continue
        what = f"{file}, which builds the source,"
        if not file.is_file():
            return f"{what} is not there any more; pass {option} to run it as it is now"
        if digest_of(file) != digest:
            return f"{what} has changed since the export; pass {option} to run it as it is now"
    return None


def _runs(bundle: Bundle, unsaid: LoadOptions) -> tuple[str, str]:
    """What would run, and the flags that allow it."""
    code, flags = [], []
    if unsaid.architecture is not None:
        code.append(unsaid.architecture)
        flags.append(f"--architecture {unsaid.architecture}")
    if unsaid.allow_pickle:
        code.append(f"the pickle {bundle.manifest.source.file}")
        flags.append("--allow-pickle")
    if unsaid.custom_objects is not None:
        code.append(unsaid.custom_objects)
        flags.append(f"--custom-objects {unsaid.custom_objects}")
    if unsaid.allow_code:
        code.append(f"the Lambda code of {bundle.manifest.source.file}")
        flags.append("--allow-code")
    return " and ".join(code), " ".join(flags)
