"""The images that an export works with: its calibration set and its golden images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.photos import PhotoFolder, PreparedPhotos
from mobilecv_runtime.spec import Contract, ImageInput, UInt8Array

GOLDEN_PHOTOS: Final = 16
GOLDEN_PATTERNS: Final = 8
_FEW: Final = 20
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


def calibration_set(folder: Path, contract: Contract, count: int) -> PhotoSet:
    """A seeded sample of a folder, prepared as the artifacts will see photos.

    Raises:
        UsageError: If the folder holds no photo that can be decoded.
    """
    photos = _sample(folder, contract, count, _CALIBRATION_SEED)
    if len(photos.pixels) >= _FEW:
        return photos
    note = f"calibration: only {len(photos.pixels)} photos; 100 or more give steadier ranges"
    return PhotoSet(pixels=photos.pixels, origin="photos", notes=(*photos.notes, note))


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
    prepared = PreparedPhotos(found.photos, contract.image)
    batches = [pixels for _, pixels in prepared.batches()]
    notes = tuple(f"left out: {line}" for line in prepared.skipped)
    if not batches:
        raise UsageError(f"{folder}: not one of its photos can be decoded ({prepared.skipped[0]})")
    return PhotoSet(pixels=np.concatenate(batches), origin="photos", notes=notes)


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
