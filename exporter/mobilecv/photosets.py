"""The images that an export works with: its calibration set and its golden images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mobilecv.calibration import (
    CalibrationPhotos,
    Finding,
    examine,
    is_blank,
)
from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.images import upright_size
from mobilecv_runtime.photos import Photo, PhotoFolder, PreparedPhotos
from mobilecv_runtime.spec import Contract, ImageInput, Labels, UInt8Array

GOLDEN_PHOTOS: Final = 16
GOLDEN_PATTERNS: Final = 8
_CALIBRATION_SEED: Final = 0
_GOLDEN_SEED: Final = 1


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """A sample of prepared images."""

    pixels: UInt8Array
    """(count, height, width, channels), uint8."""
    origin: str
    """`photos` or `patterns`."""
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest of the pixels, in order."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class CalibrationSet(PhotoSet):
    """The photos that int8 rests on, and what was found out about them."""

    found: int
    """How many photos the folder holds."""
    folders: int
    """Over how many sub-folders the sample is spread; 0 where the folder has none."""
    findings: tuple[Finding, ...]


def calibration_set(folder: Path, contract: Contract, count: int) -> CalibrationSet:
    """A seeded sample of a folder, prepared as the artifacts will see photos, and examined.

    Raises:
        UsageError: If the folder holds no photo that can be decoded, or only blank ones.
    """
    found = PhotoFolder.find(folder, contract.labels)
    sample = found.sample(count, seed=_CALIBRATION_SEED).photos
    kept, pixels, skipped = _prepared(folder, sample, contract.image)
    if is_blank(pixels).all():
        raise UsageError(
            f"{folder}: all {len(pixels)} photos taken for calibration are blank (one colour all "
            "over), so no value range can be measured; give photos of the kind that the app sees"
        )
    findings = examine(
        CalibrationPhotos(
            pixels=pixels,
            sizes=[upright_size(photo.path) for photo in kept],
            classes=[_class(photo, folder, contract.labels) for photo in kept],
            image=contract.image,
            strangers=_strangers(folder, found),
        )
    )
    folders = {
        photo.path.relative_to(folder).parts[0] for photo in kept if _is_inside(photo, folder)
    }
    return CalibrationSet(
        pixels=pixels,
        origin="photos",
        notes=(*skipped, *(finding.line for finding in findings)),
        found=len(found.photos),
        folders=len(folders),
        findings=findings,
    )


def golden_set(folder: Path | None, contract: Contract) -> PhotoSet:
    """The images that a bundle keeps: photos where there are some, generated patterns otherwise.

    Raises:
        UsageError: If a folder is given and holds no photo that can be decoded.
    """
    if folder is not None:
        return _sample(folder, contract, GOLDEN_PHOTOS, _GOLDEN_SEED)
    note = (
        "golden images: no photos given, so generated test patterns are kept; "
        "give --images DIR to keep photos of the kind that the app will see"
    )
    return PhotoSet(pixels=test_patterns(contract.image), origin="patterns", notes=(note,))


def _sample(folder: Path, contract: Contract, count: int, seed: int) -> PhotoSet:
    found = PhotoFolder.find(folder, contract.labels).sample(count, seed=seed)
    _, pixels, skipped = _prepared(folder, found.photos, contract.image)
    return PhotoSet(pixels=pixels, origin="photos", notes=skipped)


def _prepared(
    folder: Path, photos: Sequence[Photo], image: ImageInput
) -> tuple[list[Photo], UInt8Array, tuple[str, ...]]:
    """The photos that can be decoded, their pixels, and a line for each of the others."""
    prepared = PreparedPhotos(photos, image)
    batches = list(prepared.batches())
    if not batches:
        raise UsageError(f"{folder}: not one of its photos can be decoded ({prepared.skipped[0]})")
    kept = [photo for batch, _ in batches for photo in batch]
    pixels = np.concatenate([pixels for _, pixels in batches])
    return kept, pixels, tuple(f"left out: {line}" for line in prepared.skipped)


def _is_inside(photo: Photo, folder: Path) -> bool:
    """Whether a photo lies in a sub-folder."""
    return photo.path.parent != folder


def _class(photo: Photo, folder: Path, labels: Labels) -> str | None:
    """The label that a photo's sub-folder bears, or the whole folder."""
    if photo.truth is not None:
        return labels.names[photo.truth]
    return folder.name if folder.name in labels.names else None


def _strangers(folder: Path, found: PhotoFolder) -> tuple[str, ...]:
    """The names of the files that are no photos, hidden ones apart."""
    photos = {photo.path for photo in found.photos}
    return tuple(
        sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path not in photos and not path.name.startswith(".")
        )
    )


def test_patterns(image: ImageInput) -> UInt8Array:
    """Colour noise with the spectrum of photos, on ramps: sensitive to a swapped channel or axis.

    Natural images have amplitudes that fall as 1/frequency (Field 1987, JOSA A 4:2379), which is
    also what keeps a network's activations in their usual range, unlike white noise.

    Returns:
        (GOLDEN_PATTERNS, height, width, channels), uint8, the same ones at every call.
    """
    random = np.random.default_rng(0)
    rows = np.fft.fftfreq(image.height)[:, None]
    columns = np.fft.fftfreq(image.width)[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(image.height, image.width))
    y, x = np.mgrid[0 : 1 : image.height * 1j, 0 : 1 : image.width * 1j]
    patterns = []
    for _ in range(GOLDEN_PATTERNS):
        noise = random.normal(size=image.shape)
        spectrum = np.fft.fft2(noise, axes=(0, 1)) / frequency[..., None]
        texture = np.fft.ifft2(spectrum, axes=(0, 1)).real
        texture /= texture.std(axis=(0, 1))
        weights = random.normal(size=(2, image.channels))
        ramp = y[..., None] * weights[0] + x[..., None] * weights[1]
        patterns.append(127.5 + 45 * texture + 60 * (ramp - ramp.mean(axis=(0, 1))))
    return np.clip(np.round(np.stack(patterns)), 0, 255).astype(np.uint8)
