"""The contract between a trained classifier and all of its artifacts.

One invariant holds for every artifact: it takes one upright RGB (or gray) image of the bundle's
size as raw 0..255 pixels and returns one score per label. Normalisation and head are inside the
graph. What stands here says which size, which normalisation and which labels; `heads` says which
head.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import BundleError, LabelsError, UsageError
from mobilecv_runtime.heads import HEADS, Head

Color: TypeAlias = Literal["RGB", "BGR", "GRAY"]
Fit: TypeAlias = Literal["crop", "stretch", "pad"]
Resample: TypeAlias = Literal["bilinear", "bicubic", "nearest"]
Precision: TypeAlias = Literal["float32", "float16", "int8-weights", "int8"]

COLORS: Final[tuple[Color, ...]] = get_args(Color)
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
RESAMPLES: Final[tuple[Resample, ...]] = get_args(Resample)

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float32]
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """The geometry of the one image that every artifact takes."""

    height: int
    """Rows in pixels."""
    width: int
    """Columns in pixels."""
    channels: int
    """3 for RGB pixels, 1 for gray ones. The *model's* channel order is in `Preprocessing`."""
    fit: Fit = "crop"
    """How a photo of another shape gets there: `crop` its centre, `stretch` it, or `pad` it."""
    crop_fraction: float = 1.0
    """With `crop`: which share, in (0, 1], of the largest central box is kept (0.875 is the usual
    one of ImageNet evaluation)."""
    resample: Resample = "bilinear"
    """The resampling filter, as Pillow names and computes it: antialiased when it shrinks."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise UsageError(f"image size {self.height}x{self.width}: both must be at least 1")
        if not 0 < self.crop_fraction <= 1:
            raise UsageError(
                f"crop fraction {self.crop_fraction:g}: it must be above 0 and at most 1"
            )
        if self.fit != "crop" and self.crop_fraction != 1:
            raise UsageError(f"a crop fraction goes with fit 'crop', not with '{self.fit}'")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.height, self.width, self.channels)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What the model was trained to see: `value = pixel * scale + bias`, per channel."""

    color: Color = "RGB"
    """The order of the model's own channels. Artifacts always take RGB (or gray) pixels; for a
    `BGR` model they are reversed inside the graph."""
    scale: tuple[float, ...] = (1 / 127.5,)
    """One factor, or one per channel in the order of `color`."""
    bias: tuple[float, ...] = (-1.0,)
    """One summand, or one per channel in the order of `color`."""

    def __post_init__(self) -> None:
        for name, values in (("scale", self.scale), ("bias", self.bias)):
            if len(values) not in (1, self.channels):
                raise UsageError(
                    f"{name} has {len(values)} values, but a {self.color} image has "
                    f"{self.channels} channel{'s'[: self.channels > 1]}; give 1 or {self.channels}"
                )
            if not np.isfinite(values).all():
                raise UsageError(f"{name} {values} holds a value that is not finite")
        if 0 in self.scale:
            raise UsageError("a scale of 0 would erase the image")

    @property
    def channels(self) -> int:
        """1 for gray models, 3 for colour ones."""
        return 1 if self.color == "GRAY" else 3

    @property
    def scales(self) -> tuple[float, ...]:
        """One factor per channel, in the order of `color`."""
        return self.scale if len(self.scale) == self.channels else self.scale * self.channels

    @property
    def biases(self) -> tuple[float, ...]:
        """One summand per channel, in the order of `color`."""
        return self.bias if len(self.bias) == self.channels else self.bias * self.channels

    @property
    def has_one_scale(self) -> bool:
        """Whether all channels share one factor, as Core ML's image input demands."""
        return len(set(self.scales)) == 1

    def apply(self, pixels: UInt8Array) -> FloatArray:
        """Normalise a batch of images.

        Args:
            pixels: (count, height, width, channels), uint8, RGB or gray.

        Returns:
            The same shape in float32, with the channels in the order of `color`.
        """
        ordered = pixels[..., ::-1] if self.color == "BGR" else pixels
        scale = np.asarray(self.scales, np.float32)
        bias = np.asarray(self.biases, np.float32)
        return cast("FloatArray", ordered.astype(np.float32) * scale + bias)

    def describe(self) -> str:
        """Say it in one line, for people."""
        scale = ", ".join(_fraction(value) for value in self.scale)
        bias = ", ".join(f"{value:g}" for value in self.bias)
        return f"{self.color}, scale {scale}, bias {bias}"


def _fraction(value: float) -> str:
    inverse = Fraction(1 / value).limit_denominator(1000)
    exact = inverse.denominator < 1000 and abs(float(1 / inverse) - value) <= 1e-9 * abs(value)
    return f"1/{float(inverse):g}" if exact and abs(value) < 1 else f"{value:g}"


def from_mean_std(
    mean: Sequence[float], std: Sequence[float], *, pixel_range: float, color: Color
) -> Preprocessing:
    """Translate `(pixel / 255 * pixel_range - mean) / std` into scale and bias.

    Args:
        mean: One value or one per channel, on the scale that `pixel_range` names.
        std: Likewise; no zeros.
        pixel_range: 1 when mean and std belong to pixels in 0..1 (torchvision's convention), 255
            when they belong to pixels in 0..255.
        color: The channel order of the model, and of `mean` and `std`.

    Raises:
        UsageError: If a std is zero, or the counts do not fit.
    """
    if any(value == 0 for value in std):
        raise UsageError("a std of 0 cannot be divided by")
    count = max(len(mean), len(std))
    if len(mean) not in (1, count) or len(std) not in (1, count):
        raise UsageError(f"mean has {len(mean)} values and std has {len(std)}; give 1 or as many")
    means = tuple(mean) * (count if len(mean) == 1 else 1)
    stds = tuple(std) * (count if len(std) == 1 else 1)
    return Preprocessing(
        color=color,
        scale=tuple(pixel_range / 255 / s for s in stds),
        bias=tuple(-m / s for m, s in zip(means, stds, strict=True)),
    )


PRESETS: Final[Mapping[str, Preprocessing]] = {
    "tf": Preprocessing(),
    "unit": Preprocessing(scale=(1 / 255,), bias=(0.0,)),
    "torch": from_mean_std(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), pixel_range=1, color="RGB"
    ),
    "caffe": Preprocessing(color="BGR", scale=(1.0,), bias=(-103.939, -116.779, -123.68)),
    "raw": Preprocessing(scale=(1.0,), bias=(0.0,)),
}
"""The conventions of the field by name. `tf`, `torch` and `caffe` are the three modes of
`keras.applications.imagenet_utils.preprocess_input`; `raw` is for models that rescale inside."""


@dataclass(frozen=True)
class Labels:
    """The names of the classes, in the order of the scores."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise LabelsError("there are no labels; give one per line")
        for number, name in enumerate(self.names, 1):
            if not name.strip():
                raise LabelsError(f"label {number} is empty; each class needs a name")
            if name != name.strip() or "\n" in name or "\0" in name:
                raise LabelsError(f"label {number} {name!r} has white space around or a line break")
        repeated = [name for name, count in Counter(self.names).items() if count > 1]
        if repeated:
            raise LabelsError(
                f"label {repeated[0]!r} stands more than once; Core ML answers with a dictionary "
                "by label, so every class needs a name of its own"
            )

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def numbered(cls, count: int) -> Labels:
        """`class_0`, `class_1`, ...: for a model that came without labels."""
        return cls(tuple(f"class_{index}" for index in range(count)))

    @classmethod
    def of_values(cls, count: int) -> Labels:
        """`output`, or `output_0`, `output_1`, ...: for a regression that came without names."""
        return cls(("output",) if count == 1 else tuple(f"output_{i}" for i in range(count)))

    @classmethod
    def parse(cls, data: bytes, *, origin: str) -> Labels:
        """Read one label per line.

        A byte order mark, Windows line ends, white space around a label and one empty last line
        are dropped, since editors add them unasked.

        Raises:
            LabelsError: If it is not UTF-8 text, or an empty or repeated label is left.
        """
        try:
            text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        except UnicodeDecodeError as error:
            raise LabelsError(f"{origin}: not UTF-8 text ({error.reason}); save it as UTF-8") from (
                error
            )
        lines = [line.strip() for line in text.replace("\r\n", "\n").rstrip().split("\n")]
        try:
            return cls(tuple(lines) if text.strip() else ())
        except LabelsError as error:
            raise LabelsError(f"{origin}: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Labels:
        """Read a label file; see `parse`."""
        try:
            return cls.parse(path.read_bytes(), origin=str(path))
        except OSError as error:
            raise LabelsError(f"{path}: cannot be read ({error.strerror})") from error

    def to_bytes(self) -> bytes:
        """The label file: UTF-8, one label per line, Unix line ends."""
        return "".join(f"{name}\n" for name in self.names).encode()


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All that an artifact keeps to, and that a reader of it must know."""

    image: ImageInput
    preprocessing: Preprocessing
    head: Head
    labels: Labels

    def __post_init__(self) -> None:
        if self.image.channels != self.preprocessing.channels:
            raise UsageError(
                f"the model takes {self.image.channels} channels, but the preprocessing is "
                f"{self.preprocessing.color}; pass --color "
                f"{'GRAY' if self.image.channels == 1 else 'RGB'}"
            )
        if self.head.is_one_unit and len(self.labels) != 2:
            raise UsageError(f"head {self.head.kind} has two labels, not {len(self.labels)}")

    @property
    def positive(self) -> str | None:
        """The label whose probability is the p of a network with one unit; else None."""
        return self.labels.names[1] if self.head.is_one_unit else None

    def to_json(self) -> dict[str, Any]:
        """The contract without its labels, as the manifest and every artifact hold it."""
        image, preprocessing = self.image, self.preprocessing
        return {
            "image": {
                "height": image.height,
                "width": image.width,
                "channels": image.channels,
                "fit": image.fit,
                "crop_fraction": image.crop_fraction,
                "resample": image.resample,
            },
            "preprocessing": {
                "color": preprocessing.color,
                "scale": list(preprocessing.scale),
                "bias": list(preprocessing.bias),
            },
            "head": {"kind": self.head.kind}
            | ({"positive": self.positive} if self.positive else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], labels: Labels) -> Contract:
        """Rebuild what `to_json` wrote.

        Raises:
            BundleError: If a field is missing, of the wrong type or out of range.
        """
        try:
            image, preprocessing, head = data["image"], data["preprocessing"], data["head"]
            contract = cls(
                image=ImageInput(
                    height=int(image["height"]),
                    width=int(image["width"]),
                    channels=int(image["channels"]),
                    fit=one_of(image["fit"], FITS, "fit"),
                    crop_fraction=float(image["crop_fraction"]),
                    resample=one_of(image["resample"], RESAMPLES, "resample"),
                ),
                preprocessing=Preprocessing(
                    color=one_of(preprocessing["color"], COLORS, "color"),
                    scale=tuple(float(value) for value in preprocessing["scale"]),
                    bias=tuple(float(value) for value in preprocessing["bias"]),
                ),
                head=Head(kind=one_of(head["kind"], HEADS, "head")),
                labels=labels,
            )
            if head.get("positive", contract.positive) != contract.positive:
                raise UsageError(
                    f"p is said to be that of {head['positive']!r}, by the labels' order it is "
                    f"that of {contract.positive!r}"
                )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the contract is damaged: {error!r}") from error
        except UsageError as error:
            raise BundleError(f"the contract is damaged: {error}") from error
        return contract


def one_of(value: str, choices: tuple[_Choice, ...], name: str) -> _Choice:
    """Narrow a word to one of the known ones.

    Raises:
        UsageError: If it is none of them; the message lists them.
    """
    for choice in choices:
        if value == choice:
            return choice
    raise UsageError(f"{name} {value!r} is unknown; choose from: {', '.join(choices)}")
