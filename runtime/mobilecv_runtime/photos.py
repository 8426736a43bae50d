"""A folder of photos, with the class of each where the sub-folders bear the labels' names."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from mobilecv_runtime.errors import ImageError, UsageError
from mobilecv_runtime.images import prepare
from mobilecv_runtime.spec import ImageInput, Labels, UInt8Array

SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)


@dataclass(frozen=True)
class Photo:
    """One photo file."""

    path: Path
    truth: int | None
    """The index of its label, where its sub-folder says so."""


@dataclass(frozen=True)
class PhotoFolder:
    """The photos below one folder, sorted by path."""

    root: Path
    photos: tuple[Photo, ...]
    unknown_classes: tuple[str, ...] = ()
    """Sub-folders that bear no label's name although others do; their photos have no truth."""

    @classmethod
    def find(cls, root: Path, labels: Labels) -> PhotoFolder:
        """Find every photo below a folder.

        Raises:
            UsageError: If there is no such folder, or not one photo in it.
        """
        check_folder(root)
        paths = sorted(_photos_in(root))
        index = {name: number for number, name in enumerate(labels.names)}
        classes = {path: _class_folder(path, root) for path in paths}
        names = {name for name in classes.values() if name is not None}
        known = names & index.keys()
        return cls(
            root=root,
            photos=tuple(
                Photo(path, index.get(name) if (name := classes[path]) else None) for path in paths
            ),
            unknown_classes=tuple(sorted(names - known)) if known else (),
        )

    def sample(self, count: int, *, seed: int = 0) -> PhotoFolder:
        """At most `count` photos, drawn with a fixed seed, in the order of their paths."""
        if len(self.photos) <= count:
            return self
        chosen = random.Random(seed).sample(range(len(self.photos)), count)  # noqa: S311
        photos = tuple(self.photos[index] for index in sorted(chosen))
        return PhotoFolder(self.root, photos, self.unknown_classes)


def check_folder(root: Path) -> None:
    """Refuse what is no folder of photos.

    Raises:
        UsageError: If there is no such folder, or not one photo in it.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; give a folder of photos")
    if not holds_photos(root):
        raise UsageError(
            f"{root}: no photos in it; expected files ending in {', '.join(sorted(SUFFIXES))}"
        )


def holds_photos(root: Path) -> bool:
    """Whether a folder is there, with at least one file that is called like a photo."""
    return any(True for _ in _photos_in(root))


def _photos_in(root: Path) -> Iterator[Path]:
    return (
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def _class_folder(path: Path, root: Path) -> str | None:
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


@dataclass
class PreparedPhotos:
    """Reads photos as batches of pixels; a corrupt one is left out and remembered."""

    photos: Sequence[Photo]
    image: ImageInput
    skipped: list[str] = field(default_factory=list)
    """One line for each photo that could not be decoded; complete once all are read."""

    def batches(self, size: int = 32) -> Iterator[tuple[list[Photo], UInt8Array]]:
        """Yield (photos, pixels) with pixels of (count, height, width, channels), uint8."""
        kept: list[Photo] = []
        pixels: list[UInt8Array] = []
        for photo in self.photos:
            try:
                pixels.append(prepare(photo.path, self.image))
            except ImageError as error:
                self.skipped.append(str(error))
                continue
            kept.append(photo)
            if len(kept) == size:
                yield kept, np.stack(pixels)
                kept, pixels = [], []
        if kept:
            yield kept, np.stack(pixels)
