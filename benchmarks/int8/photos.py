"""Photos in two halves: one gives value ranges, the other one is measured on."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.int8.networks import PhotoSetName
from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.spec import Labels

_IMAGENET_CLASSES: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Two folders with links to photos, in sub-folders that bear the labels' names."""

    calibration: Path
    test: Path
    labels: Labels

    @classmethod
    def link(cls, name: PhotoSetName, data: Path, folder: Path) -> Halves:
        """Deal the photos of a set out in turn, in the order of their paths.

        Args:
            name: Which set.
            data: The folder of models and photos.
            folder: Where the two folders are made.

        Raises:
            UsageError: If the photos are not there.
        """
        labels, photos = (_cifar10 if name == "cifar10" else _imagenet)(data)
        for number, (label, photo) in enumerate(photos):
            place = folder / ("calibration" if number % 2 == 0 else "test") / label
            place.mkdir(parents=True, exist_ok=True)
            (place / photo.name).symlink_to(photo)
        return cls(calibration=folder / "calibration", test=folder / "test", labels=labels)


def _cifar10(data: Path) -> tuple[Labels, Sequence[tuple[str, Path]]]:
    """A folder for each class; their alphabetical order is that of the classes."""
    root = _existing(data / "cifar10-photos")
    classes = sorted(path.name for path in root.iterdir() if path.is_dir())
    photos = [(name, photo) for name in classes for photo in sorted((root / name).iterdir())]
    return Labels(tuple(classes)), photos


def _imagenet(data: Path) -> tuple[Labels, Sequence[tuple[str, Path]]]:
    """Photos beside a table; the networks have the class `background` before the 1000 others."""
    root = _existing(data / "imagenet-photos")
    names = tuple(f"class {number}" for number in range(_IMAGENET_CLASSES + 1))
    return Labels(names), [(names[index + 1], photo) for photo, index in _table(root)]


def _table(root: Path) -> Iterator[tuple[Path, int]]:
    with (root / "index.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield root / row["file"], int(row["class_index"])


def _existing(root: Path) -> Path:
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; --data names the folder that holds it")
    return root.resolve()
