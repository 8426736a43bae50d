"""What is wrong with a set of calibration photos, told before anything is converted.

The value ranges of int8 rest on these photos alone: what they do not show is clipped later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilecv_runtime.spec import ImageInput, UInt8Array

Severity: TypeAlias = Literal["note", "warning"]

_STEADY: Final = 100
"""With 100 photos the ranges of the MLPerf Tiny person detector and ResNet8 were 2 and 10 % smaller
(median over the tensors) than with all 200 and 1000; with 16 photos 22 and 25 %."""
_HARDLY_ANY: Final = 8
_BLANK_STD: Final = 2.0
"""In levels of 255. The flattest of 200 ImageNet photos has 23, of 1000 CIFAR-10 photos 11."""
_GRAY_LEVELS: Final = 2
"""How far apart the channels of a gray photo may be: JPEG rounds its chroma by that much."""
_NEAR_BITS: Final = 8
_NEAR_LEVELS: Final = 10.0
"""Pairs of different photos of ImageNet and CIFAR-10 were 13 or more bits apart. Handwritten digits
came down to 6 bits, but as thumbnails they differ by 9 levels or more. Copies that were brightened
by 8 levels, or that carry noise, stayed below both limits."""
_MOSTLY: Final = 0.5
_SOME: Final = 0.1
_SHOWN_NAMES: Final = 3


@dataclass(frozen=True, kw_only=True)
class CalibrationPhotos:
    """Photos as the network will see them, and what is known of each."""

    pixels: UInt8Array
    """(count, height, width, channels), uint8."""
    sizes: Sequence[tuple[int, int]]
    """(width, height) of each photo before it was fitted, upright."""
    classes: Sequence[str | None]
    """The label of each photo; None where no folder tells."""
    image: ImageInput
    strangers: Sequence[str] = ()
    """Names of files in the folder that are no photos."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that weakens the ranges, or that the user should know."""

    kind: str
    """`few`, `duplicates`, `one-class`, `blank`, `gray`, `aspect` or `strangers`."""
    severity: Severity
    message: str
    """One line."""
    share: float | None = None
    """The share of the photos that it is about, 0..1."""

    @property
    def line(self) -> str:
        """How a report says it."""
        return f"calibration: {'warning: ' if self.severity == 'warning' else ''}{self.message}"

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


def examine(photos: CalibrationPhotos) -> tuple[Finding, ...]:
    """Everything that speaks against a set of photos, the gravest kinds first."""
    found = (check(photos) for check in _CHECKS)
    return tuple(finding for finding in found if finding is not None)


def is_blank(pixels: UInt8Array) -> NDArray[np.bool_]:
    """Which of (count, height, width, channels) are one colour: std below 2 levels per channel."""
    deviations = pixels.reshape(len(pixels), -1, pixels.shape[-1]).std(axis=1).max(axis=1)
    blank: NDArray[np.bool_] = deviations < _BLANK_STD
    return blank


def _few(photos: CalibrationPhotos) -> Finding | None:
    count = len(photos.pixels)
    if count >= _STEADY:
        return None
    if count < _HARDLY_ANY:
        message = (
            f"only {_photos(count)}, so int8 will clip what the others hold; "
            f"give {_STEADY} or more of the kind that the app will see"
        )
        return Finding(kind="few", severity="warning", message=message)
    message = f"only {count} photos; {_STEADY} or more give steadier ranges"
    return Finding(kind="few", severity="note", message=message)


def _blank(photos: CalibrationPhotos) -> Finding | None:
    blank = int(is_blank(photos.pixels).sum())
    share = blank / len(photos.pixels)
    message = f"{_of(blank, photos)} blank (one colour all over); take them out"
    return _about(share, "blank", message, at_least=0)


def _duplicates(photos: CalibrationPhotos) -> Finding | None:
    twins = int(near_duplicates(photos.pixels[~is_blank(photos.pixels)]).sum())
    message = (
        f"{_of(twins, photos)} nearly the same as another one, such as frames of one video; "
        "they add nothing to the ranges"
    )
    return _about(twins / len(photos.pixels), "duplicates", message, at_least=_SOME)


def _one_class(photos: CalibrationPhotos) -> Finding | None:
    known = Counter(name for name in photos.classes if name is not None)
    if len(known) != 1 or len(photos.pixels) == 1:
        return None
    ((name, count),) = known.items()
    message = f"{_of(count, photos)} of the class {name!r}, and no photo is of another known one"
    return _about(count / len(photos.pixels), "one-class", message, at_least=_MOSTLY)


def _gray(photos: CalibrationPhotos) -> Finding | None:
    if photos.image.channels == 1:
        return None
    spread = np.ptp(photos.pixels, axis=-1).reshape(len(photos.pixels), -1).max(axis=1)
    gray = int((spread <= _GRAY_LEVELS).sum())
    message = f"{_of(gray, photos)} gray, but the model takes colour"
    return _about(gray / len(photos.pixels), "gray", message, at_least=_SOME)


def _aspect(photos: CalibrationPhotos) -> Finding | None:
    """What `fit` does to photos of another shape.

    With r the ratio of the two aspects, the share min(r, 1/r) is what a crop keeps of the photo,
    what a padded photo covers of the frame, and how much narrower a stretched one becomes.
    """
    target = photos.image.width / photos.image.height
    ratios = np.array([width / height / target for width, height in photos.sizes])
    kept = np.minimum(ratios, 1 / ratios)
    far = int((kept < _MOSTLY).sum())
    middle = float(np.median(kept[kept < _MOSTLY])) if far else 1.0
    loss = {
        "crop": f"the central crop cuts away {1 - middle:.0%} of such a photo",
        "pad": f"{1 - middle:.0%} of the input is black frame then",
        "stretch": f"they are squeezed to {middle:.0%} of their length",
    }[photos.image.fit]
    shape = f"{photos.image.height}x{photos.image.width}"
    message = f"{_of(far, photos)} of quite another shape than the input ({shape}): {loss}"
    return _about(far / len(photos.pixels), "aspect", message, at_least=_SOME)


def _strangers(photos: CalibrationPhotos) -> Finding | None:
    if not photos.strangers:
        return None
    shown = ", ".join(photos.strangers[:_SHOWN_NAMES])
    shown += ", ..." if len(photos.strangers) > _SHOWN_NAMES else ""
    count = len(photos.strangers)
    kind = "file that is no photo" if count == 1 else "files that are no photos"
    message = f"left out {count} {kind}: {shown}"
    return Finding(kind="strangers", severity="note", message=message)


def near_duplicates(pixels: UInt8Array) -> NDArray[np.bool_]:
    """Which photos look like an earlier one.

    The measure is the difference hash of 8x8 bits (Krawetz 2013, "Kind of Like That",
    hackerfactor.com): is each cell of a 9x8 thumbnail brighter than its left neighbour? Pairs that
    are near by it are held against each other as thumbnails, since flat photos hash alike.

    Args:
        pixels: (count, height, width, channels), uint8.

    Returns:
        (count,), True from the second one of a group on.
    """
    small = np.array([_thumbnail(photo) for photo in pixels], np.int16).reshape(-1, 8, 9)
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), -1)
    found = np.zeros(len(small), np.bool_)
    for index in range(1, len(small)):
        near = (bits[:index] != bits[index]).sum(axis=1) <= _NEAR_BITS
        apart = np.abs(small[:index][near] - small[index]).mean(axis=(1, 2))
        found[index] = bool((apart <= _NEAR_LEVELS).any())
    return found


def _thumbnail(photo: UInt8Array) -> UInt8Array:
    image = Image.fromarray(photo[..., 0] if photo.shape[-1] == 1 else photo).convert("L")
    return np.asarray(image.resize((9, 8), Image.Resampling.BOX), np.uint8)


def _about(share: float, kind: str, message: str, *, at_least: float) -> Finding | None:
    """A finding about some photos, a warning if it is about most of them."""
    if share == 0 or share < at_least:
        return None
    severity: Severity = "warning" if share >= _MOSTLY else "note"
    return Finding(kind=kind, severity=severity, message=message, share=share)


def _of(count: int, photos: CalibrationPhotos) -> str:
    return f"{count} of {_photos(len(photos.pixels))} {'is' if count == 1 else 'are'}"


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"


_CHECKS: Final[tuple[Callable[[CalibrationPhotos], Finding | None], ...]] = (
    _few,
    _blank,
    _duplicates,
    _one_class,
    _gray,
    _aspect,
    _strangers,
)
