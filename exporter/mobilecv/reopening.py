"""How a bundle's source is loaded again: what the manifest records of it, and who may run code."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from mobilecv.sources import trust
from mobilecv.sources.architectures import Architecture
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import BundleError, UsageError
from mobilecv_runtime.manifest import LoadingEntry


def recorded(loading: LoadOptions, output: Path) -> LoadingEntry:
    """What the manifest keeps: an architecture's file with its place relative to the bundle."""
    if loading.architecture is None:
        return LoadingEntry(allow_pickle=loading.allow_pickle)
    architecture = Architecture.parse(loading.architecture)
    file = architecture.file
    if file is not None:
        place = Path(os.path.relpath(file.absolute(), output.absolute())).as_posix()
        architecture = dataclasses.replace(architecture, place=place)
    return LoadingEntry(
        architecture=str(architecture),
        architecture_args=dict(loading.architecture_args),
        architecture_sha256=digest_of(file) if file else None,
        allow_pickle=loading.allow_pickle,
    )


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
    )
    changed = _changed_file(bundle, unsaid)
    if changed is not None:
        return None, f"{changed}; pass --architecture to run it as it is now"
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
        folder=known.folder,
    ), None


def _from_manifest(bundle: Bundle) -> LoadOptions:
    entry = bundle.manifest.loading
    architecture = entry.architecture
    if architecture is not None:
        parsed = _parsed(bundle, architecture)
        if parsed.file is not None:
            parsed = dataclasses.replace(parsed, place=str((bundle.path / parsed.file).resolve()))
        architecture = str(parsed)
    return LoadOptions(
        architecture=architecture,
        architecture_args=entry.architecture_args or {},
        allow_pickle=entry.allow_pickle,
    )


def _parsed(bundle: Bundle, architecture: str) -> Architecture:
    try:
        return Architecture.parse(architecture)
    except UsageError as error:
        raise BundleError(f"{bundle.path}: its manifest is damaged: {error}") from error


def _changed_file(bundle: Bundle, unsaid: LoadOptions) -> str | None:
    file = Architecture.parse(unsaid.architecture).file if unsaid.architecture else None
    if file is None:
        return None
    if not file.is_file():
        return f"{file}, which builds the source, is not there any more"
    if digest_of(file) != bundle.manifest.loading.architecture_sha256:
        return f"{file}, which builds the source, has changed since the export"
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
    return " and ".join(code), " ".join(flags)
