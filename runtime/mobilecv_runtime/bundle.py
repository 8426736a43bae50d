"""A bundle folder, opened: its manifest, its artifacts and its golden images."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import BundleError, UsageError
from mobilecv_runtime.manifest import FILE_NAME, ArtifactEntry, Manifest
from mobilecv_runtime.spec import Contract, FloatArray, UInt8Array

_SEARCH_DEPTH = 3
_NEVER_SEARCHED = frozenset({"node_modules", "__pycache__", "site-packages"})


@dataclass(frozen=True)
class Golden:
    """Prepared images with the source's scores on them."""

    images: UInt8Array
    """(count, height, width, channels), uint8, RGB or gray."""
    scores: FloatArray
    """(count, labels), float32: what the source model answers."""


@dataclass(frozen=True)
class Bundle:
    """A folder that `mobilecv export` wrote, every digest of which has been checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read a bundle and check every file in it against its digest.

        Raises:
            BundleError: If it is no bundle, or incomplete, altered or of a later version.
        """
        folder = Path(path)
        manifest_path = folder / FILE_NAME
        if not manifest_path.is_file():
            raise BundleError(f"{folder}: not a mobilecv bundle (there is no {FILE_NAME} in it)")
        try:
            data = json.loads(manifest_path.read_bytes())
            labels = (folder / "labels.txt").read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{error.filename}: missing; export the model again") from error
        except (OSError, ValueError) as error:
            raise BundleError(f"{manifest_path}: cannot be read ({error})") from error
        try:
            bundle = cls(folder, Manifest.from_json(data, labels))
        except BundleError as error:
            raise BundleError(f"{folder}: {error}") from error
        bundle._check_digests()
        return bundle

    @classmethod
    def find(cls, below: Path) -> list[Path]:
        """The bundle folders at most three levels below a folder, the newest first."""
        found: list[Path] = []
        for folder, subfolders, files in os.walk(below):
            depth = len(Path(folder).relative_to(below).parts)
            if FILE_NAME in files:
                found.append(Path(folder))
            searched = [] if FILE_NAME in files or depth >= _SEARCH_DEPTH else subfolders
            subfolders[:] = sorted(
                name
                for name in searched
                if not name.startswith(".") and name not in _NEVER_SEARCHED
            )
        return sorted(found, key=lambda path: (path / FILE_NAME).stat().st_mtime_ns, reverse=True)

    @property
    def contract(self) -> Contract:
        """What every artifact of the bundle keeps to."""
        return self.manifest.contract

    def artifact(self, id_or_file: str) -> ArtifactEntry:
        """Look an artifact up by its id or its file name.

        Raises:
            UsageError: If the bundle holds no such artifact; the message lists those it holds.
        """
        for entry in self.manifest.artifacts:
            if id_or_file in (entry.id, entry.file):
                return entry
        held = ", ".join(entry.id for entry in self.manifest.artifacts) or "none"
        raise UsageError(f"{self.path}: no artifact {id_or_file!r}; it holds: {held}")

    def file(self, entry: ArtifactEntry) -> Path:
        """Where an artifact lies."""
        return self.path / entry.file

    @cached_property
    def golden(self) -> Golden:
        """The golden images and the source's scores on them."""
        entries = self._golden_entries()
        images = []
        for entry in entries:
            with Image.open(self._golden_image(entry)) as image:
                images.append(np.asarray(image, np.uint8).reshape(self.contract.image.shape))
        scores = np.asarray([entry["scores"] for entry in entries], np.float32)
        return Golden(np.stack(images), scores)

    @property
    def source_path(self) -> Path | None:
        """Where the source model lay when the bundle was made, if it was a file."""
        relative = self.manifest.source.path
        return None if relative is None else Path(os.path.normpath(self.path / relative))

    def _check_digests(self) -> None:
        manifest = self.manifest
        self._check_digest(self.path / "labels.txt", manifest.labels_sha256)
        self._check_digest(self.path / manifest.golden.file, manifest.golden.sha256)
        for entry in manifest.artifacts:
            self._check_digest(self.file(entry), entry.sha256)
        for image in self._golden_entries():
            self._check_digest(self._golden_image(image), image["sha256"])

    def _golden_entries(self) -> list[dict[str, Any]]:
        golden_file = self.path / self.manifest.golden.file
        entries: list[dict[str, Any]] = json.loads(golden_file.read_bytes())["images"]
        return entries

    def _golden_image(self, entry: dict[str, Any]) -> Path:
        return (self.path / self.manifest.golden.file).parent / str(entry["file"])

    def _check_digest(self, path: Path, expected: str) -> None:
        if not path.exists():
            raise BundleError(f"{path}: missing; export the model again")
        if digest_of(path) != expected:
            raise BundleError(
                f"{path}: changed since the export (its SHA-256 differs from {FILE_NAME}); "
                "restore it, or export the model again"
            )
