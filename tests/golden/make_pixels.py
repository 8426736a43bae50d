"""Writes `pixels/`: what Python, Kotlin and Swift must all make of the same photos, to the byte.

    python tests/golden/make_pixels.py

The expected pixels are Pillow's own, by `mobilecv_runtime.images`; pytest, JUnit and XCTest read
them. `cases.json` says what there is; its offsets are into `pixels.bin`, where images lie as rows
of interleaved R, G, B bytes, or of gray bytes. Digests are SHA-256 of such bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilecv_runtime.images import prepare
from mobilecv_runtime.spec import FITS, RESAMPLES, ImageInput

FOLDER: Final = Path(__file__).parent / "pixels"
PHOTOS: Final = {"dot": (1, 1), "row": (1, 9), "column": (11, 1), "odd": (13, 17), "wide": (24, 61)}
"""Name -> (height, width)."""
SIZES: Final = {"square": (8, 8), "flat": (5, 12), "large": (20, 19)}
"""(height, width) that models take; `large` makes every photo grow."""
FRACTIONS: Final = (1.0, 0.875)
LARGE_PHOTO: Final = (3024, 4032)
"""A phone's 12 megapixels, computed by `formula` and compared by digest."""
SCORES: Final = (
    (0.1, 0.7, 0.2),
    (0.25, 0.25, 0.25, 0.25),
    (0.0, 0.5, 0.5),
    (1.0,),
    (3e-8, 1e-8, 2e-8, 0.9999999),
)


class Bytes:
    """The binary file, in the making."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def place(self, pixels: NDArray[np.uint8]) -> int:
        """Append an image and say at which offset it lies."""
        self._parts.append(pixels.tobytes())
        self._size += pixels.size
        return self._size - pixels.size

    def write(self, path: Path) -> None:
        """Write all of them."""
        path.write_bytes(b"".join(self._parts))


def photo(name: str) -> NDArray[np.uint8]:
    """A noisy picture with ramps and hard edges, (height, width, 3)."""
    height, width = PHOTOS[name]
    random = np.random.default_rng(len(name))
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    levels = 40 * c + 9 * x + 5 * y + 120 * ((x // 3 + y // 2) % 2)
    return ((levels + random.integers(0, 60, levels.shape)) % 256).astype(np.uint8)


def formula(height: int, width: int) -> NDArray[np.uint8]:
    """`(7x + 13y + 29c + (xy mod 251)) mod 256`, (height, width, 3)."""
    y, x, c = np.ogrid[0:height, 0:width, 0:3]
    return ((7 * x + 13 * y + 29 * c + (x * y) % 251) % 256).astype(np.uint8)


def fits(pixels: Bytes) -> list[dict[str, Any]]:
    """Every photo in every geometry."""
    cases = []
    for name, size, fit, resample, channels in itertools.product(
        PHOTOS, SIZES, FITS, RESAMPLES, (3, 1)
    ):
        for fraction in FRACTIONS if fit == "crop" else (1.0,):
            image = ImageInput(
                height=SIZES[size][0],
                width=SIZES[size][1],
                channels=channels,
                fit=fit,
                crop_fraction=fraction,
                resample=resample,
            )
            expected = prepare(Image.fromarray(photo(name)), image)
            cases.append({"photo": name, "image": asdict(image), "offset": pixels.place(expected)})
    return cases


def large_fits() -> list[dict[str, Any]]:
    """A phone's photo in the usual geometries, by digest."""
    source = Image.fromarray(formula(*LARGE_PHOTO))
    cases = []
    for resample, fit in itertools.product(RESAMPLES, FITS):
        image = ImageInput(height=224, width=224, channels=3, fit=fit, resample=resample)
        digest = hashlib.sha256(prepare(source, image).tobytes()).hexdigest()
        cases.append({"image": asdict(image), "sha256": digest})
    return cases


def orientations(pixels: Bytes) -> list[dict[str, Any]]:
    """A photo under each EXIF orientation, and how it stands upright."""
    stored = photo("odd")
    cases = []
    for tag in range(1, 9):
        picture = Image.fromarray(stored)
        picture.getexif()[0x0112] = tag
        sideways = tag >= 5
        height, width = stored.shape[1::-1] if sideways else stored.shape[:2]
        upright = prepare(picture, ImageInput(height=height, width=width, channels=3))
        cases.append({"photo": "odd", "exif": tag, "height": height, "width": width,
                      "offset": pixels.place(upright)})  # fmt: skip
    return cases


def top_k() -> list[dict[str, Any]]:
    """Scores and their order: the largest first, of equal ones the lowest index."""
    return [
        {
            "scores": scores,
            "k": k,
            "indices": sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:k],
        }
        for scores in SCORES
        for k in (1, 3)
    ]


def quantised() -> list[dict[str, Any]]:
    """`value = (stored - zero_point) * scale` for each integer type (TFLite quantization spec)."""
    cases = []
    for dtype, zero_point, scale in (("uint8", 0, 1 / 256), ("int8", -128, 1 / 256),
                                     ("uint8", 3, 0.05), ("int8", 7, 0.1)):  # fmt: skip
        low, high = (0, 255) if dtype == "uint8" else (-128, 127)
        stored = [low, low + 1, zero_point, high - 1, high]
        values = [float(np.float32(value - zero_point) * np.float32(scale)) for value in stored]
        cases.append({"dtype": dtype, "zero_point": zero_point, "scale": scale, "stored": stored,
                      "values": values})  # fmt: skip
    return cases


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    pixels = Bytes()
    cases = {
        "photos": {
            name: {"height": height, "width": width, "offset": pixels.place(photo(name))}
            for name, (height, width) in PHOTOS.items()
        },
        "fits": fits(pixels),
        "large_photo": {"height": LARGE_PHOTO[0], "width": LARGE_PHOTO[1]},
        "large_fits": large_fits(),
        "orientations": orientations(pixels),
        "top_k": top_k(),
        "quantised": quantised(),
    }
    pixels.write(FOLDER / "pixels.bin")
    text = json.dumps(cases, separators=(",", ":")).replace('{"photo"', '\n{"photo"')
    (FOLDER / "cases.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
