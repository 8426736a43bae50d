"""What the user states about a model, on the command line or in `mobilecv.toml`, and what follows.

Stated options win over `mobilecv.toml` beside the model, which wins over the defaults. What nobody
stated is assumed aloud: `resolve` returns a note for every assumption.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.base import SourceDescription, StatedInput
from mobilecv_runtime.errors import LabelsError, SourceError, UsageError
from mobilecv_runtime.heads import HEADS, Answer, Head
from mobilecv_runtime.spec import (
    COLORS,
    FITS,
    PRESETS,
    RESAMPLES,
    Color,
    Contract,
    ImageInput,
    Labels,
    Preprocessing,
    from_mean_std,
    one_of,
)

TOML_NAME: Final = "mobilecv.toml"
LABELS_NAME: Final = "labels.txt"
_SUGGESTIONS: Final = {
    "size": "size",
    "mean": "mean",
    "std": "std",
    "resample": "resampling",
    "crop_fraction": "crop fraction",
}
_NOUNS: Final[Mapping[Answer, str]] = {
    "one label": "classes",
    "labels": "labels",
    "values": "values",
}
_VALUE_FIELDS: Final = ("preset", "scale", "bias", "mean", "std", "pixel_range")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What is stated about a model; None where nothing is."""

    labels: Path | Sequence[str] | None = None
    """A label file, or the labels themselves."""
    preset: str | None = None
    """One of `mobilecv_runtime.spec.PRESETS`."""
    scale: Sequence[float] | None = None
    bias: Sequence[float] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    pixel_range: float | None = None
    """1 or 255: which pixels `mean` and `std` belong to."""
    color: str | None = None
    fit: str | None = None
    crop_fraction: float | None = None
    resample: str | None = None
    size: tuple[int, int] | None = None
    """(height, width)."""
    head: str | None = None
    force_preprocessing: bool = False
    """Normalise although the model does so inside."""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("preset", self.preset, tuple(PRESETS)),
            ("color", self.color and self.color.upper(), COLORS),
            ("fit", self.fit, FITS),
            ("resample", self.resample, RESAMPLES),
            ("head", self.head, HEADS),
        ):
            if value is not None:
                one_of(value, choices, name)
        self._check_values()

    def _check_values(self) -> None:
        by_scale = self.scale is not None or self.bias is not None
        by_mean = self.mean is not None or self.std is not None
        if by_scale + by_mean + (self.preset is not None) > 1:
            raise UsageError(
                "state the preprocessing once: a preset, or scale and bias, or mean and std"
            )
        if by_scale and self.scale is None:
            raise UsageError("--bias needs --scale; with pixels as they are, that is --scale 1")
        if by_mean and (self.mean is None or self.std is None):
            raise UsageError("--mean and --std go together")
        if self.pixel_range not in (None, 1, 255):
            raise UsageError(f"--pixel-range {self.pixel_range:g}: expected 1 or 255")

    @classmethod
    def beside(cls, model: Path) -> ModelOptions:
        """Read `mobilecv.toml` beside a model, if there is one.

        Raises:
            UsageError: If it is no TOML, or holds an unknown key or a value of the wrong type.
        """
        path = model.parent / TOML_NAME
        if not path.is_file():
            return cls()
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"{path}: not valid TOML ({error})") from error
        try:
            return cls(**{_field(key): _value(key, data[key], path) for key in data})
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error

    @property
    def stated_input(self) -> StatedInput:
        """What a source that does not say it itself must know of its input."""
        channels = None if self.color is None else 1 if self.color.upper() == "GRAY" else 3
        return StatedInput(size=self.size, channels=channels)

    def over(self, below: ModelOptions) -> ModelOptions:
        """These options, and those of `below` where nothing is stated here.

        Preset, scale, bias, mean and std go together: stating one of them drops all of `below`.
        """
        stated = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) not in (None, False)
        }
        if stated.keys() & set(_VALUE_FIELDS):
            nothing: dict[str, Any] = dict.fromkeys(_VALUE_FIELDS)
            below = dataclasses.replace(below, **nothing)
        return dataclasses.replace(below, **stated)


@dataclass(frozen=True)
class StatedLabels:
    """Labels, and where they came from."""

    labels: Labels
    origin: str
    """The label file's name, `given`, or `numbered`."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A contract, and what was assumed to get there."""

    contract: Contract
    labels_origin: str
    """The label file's name, `given`, or `numbered`."""
    notes: tuple[str, ...]


def find_labels(options: ModelOptions, model: Path | None) -> StatedLabels | None:
    """The labels that are stated, or lie beside the model; None if there are none.

    Raises:
        LabelsError: If they cannot be read, or an empty or repeated one is among them.
    """
    given = options.labels
    if given is None and model is not None and (model.parent / LABELS_NAME).is_file():
        given = model.parent / LABELS_NAME
    if given is None:
        return None
    if isinstance(given, Path):
        return StatedLabels(Labels.read(given), given.name)
    return StatedLabels(Labels(tuple(given)), "given")


def resolve(
    options: ModelOptions, source: SourceDescription, labels: StatedLabels | None
) -> Resolved:
    """Combine what is stated with what the model says about itself.

    Args:
        options: What is stated.
        source: What the model says.
        labels: What `find_labels` found.

    Raises:
        UsageError: If a stated value is wrong, contradicts the model, or is needed and missing.
    """
    options, suggestion_note = _with_suggestion(options, source)
    preprocessing, preprocessing_note = _preprocessing(options, source)
    head, head_note = _head(options, source)
    stated, labels_note = _labels(labels, source, head)
    contract = Contract(
        image=_image(options, source),
        preprocessing=preprocessing,
        head=head,
        labels=stated.labels,
    )
    assumed = (
        labels_note,
        suggestion_note,
        preprocessing_note,
        head_note,
        _positive_note(contract),
    )
    notes = (*source.notes, *(note for note in assumed if note))
    return Resolved(contract=contract, labels_origin=stated.origin, notes=notes)


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Read `0.5`, `1/127.5`, or several of them with commas between.

    Raises:
        UsageError: If one is no number.
    """
    return tuple(_number(part, option) for part in text.split(","))


def parse_size(text: str) -> tuple[int, int]:
    """Read `224` or `HEIGHTxWIDTH`.

    Returns:
        (height, width).

    Raises:
        UsageError: If it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"size {text!r}: expected 224 or HEIGHTxWIDTH, such as 192x256")
    return int(parts[0]), int(parts[-1])


def _number(text: str, option: str) -> float:
    dividend, slash, divisor = text.partition("/")
    try:
        return float(dividend) / float(divisor) if slash else float(dividend)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"{option} {text!r}: expected a number or a fraction such as 1/127.5"
        ) from error


def _field(key: str) -> str:
    name = key.replace("-", "_")
    known = {field.name for field in dataclasses.fields(ModelOptions)}
    if name not in known:
        raise UsageError(f"unknown key {key!r}; known are {', '.join(sorted(known))}")
    return name


def _value(key: str, value: Any, path: Path) -> Any:
    match _field(key), value:
        case "labels", str():
            return path.parent / value
        case "labels", list() if all(isinstance(name, str) for name in value):
            return tuple(value)
        case "scale" | "bias" | "mean" | "std", str():
            return parse_numbers(value, key)
        case "scale" | "bias" | "mean" | "std", int() | float():
            return (float(value),)
        case "scale" | "bias" | "mean" | "std", list():
            return tuple(_number(str(number), key) for number in value)
        case "size", int() | str():
            return parse_size(str(value))
        case "size", [int(height), int(width)]:
            return height, width
        case "pixel_range" | "crop_fraction", int() | float():
            return float(value)
        case "preset" | "color" | "fit" | "resample" | "head", str():
            return value
        case "force_preprocessing", bool():
            return value
        case _:
            raise UsageError(f"{key} = {value!r}: a value of the wrong type")


def _with_suggestion(
    options: ModelOptions, source: SourceDescription
) -> tuple[ModelOptions, str | None]:
    """What is published about the architecture, where the user states nothing."""
    suggested = source.suggested
    if suggested is None:
        return options, None
    colored = source.channels == 3 and (options.color or "RGB").upper() == "RGB"
    cropped = options.fit in (None, "crop")
    below = ModelOptions(
        size=None if source.height else suggested.size,
        mean=suggested.mean if colored else None,
        std=suggested.std if colored else None,
        resample=suggested.resample,
        crop_fraction=suggested.crop_fraction if cropped else None,
    )
    merged = options.over(below)
    taken = [
        words
        for name, words in _SUGGESTIONS.items()
        if getattr(options, name) is None
        and getattr(below, name) is not None
        and getattr(merged, name) == getattr(below, name)
    ]
    note = f"{', '.join(taken)}: taken from {suggested.origin}; flags and {TOML_NAME} win over it"
    return merged, note if taken else None


def _image(options: ModelOptions, source: SourceDescription) -> ImageInput:
    height, width = source.height, source.width
    if options.size is not None:
        if (height or options.size[0], width or options.size[1]) != options.size:
            raise UsageError(
                f"--size {options.size[0]}x{options.size[1]}: the model's input is fixed to "
                f"{height}x{width}; leave --size out"
            )
        height, width = options.size
    if height is None or width is None:
        raise UsageError("the model takes images of any size; state one with --size, such as 224")
    return ImageInput(
        height=height,
        width=width,
        channels=source.channels,
        fit=one_of(options.fit or "crop", FITS, "fit"),
        crop_fraction=1.0 if options.crop_fraction is None else options.crop_fraction,
        resample=one_of(options.resample or "bilinear", RESAMPLES, "resample"),
    )


def _preprocessing(
    options: ModelOptions, source: SourceDescription
) -> tuple[Preprocessing, str | None]:
    natural: Color = "GRAY" if source.channels == 1 else "RGB"
    color = one_of(options.color.upper(), COLORS, "color") if options.color else None
    note = None
    if options.scale is not None:
        preprocessing = Preprocessing(
            color=color or natural, scale=tuple(options.scale), bias=tuple(options.bias or (0.0,))
        )
    elif options.mean is not None and options.std is not None:
        preprocessing = _from_mean_std(
            options.mean, options.std, options.pixel_range, color or natural
        )
    else:
        preprocessing = _preset(options.preset or source.usual_preset, color, natural)
        if options.preset is None:
            note = (
                f"preprocessing: none stated, so preset {source.usual_preset} is assumed "
                f"({preprocessing.describe()}); if the model was trained otherwise, "
                "say so with --preset, --scale/--bias or --mean/--std"
            )
    normalises = any(scale != 1 for scale in preprocessing.scales) or any(preprocessing.biases)
    if source.normalises and normalises and not options.force_preprocessing:
        raise UsageError(
            f"the model already normalises inside (layer {source.normalises[0]!r}), so "
            f"{preprocessing.describe()} would come on top; pass --preset raw, or "
            "--force-preprocessing if both are meant"
        )
    return preprocessing, note


def _from_mean_std(
    mean: Sequence[float], std: Sequence[float], pixel_range: float | None, color: Color
) -> Preprocessing:
    if pixel_range is None and max(map(abs, (*mean, *std))) > 1:
        raise UsageError(
            "mean and std above 1 belong to pixels in 0..255; say so with --pixel-range 255"
        )
    return from_mean_std(mean, std, pixel_range=pixel_range or 1, color=color)


def _preset(name: str, color: Color | None, natural: Color) -> Preprocessing:
    preset = PRESETS[one_of(name, tuple(PRESETS), "preset")]
    if len(preset.scale) == len(preset.bias) == 1:
        return dataclasses.replace(preset, color=color or natural)
    if natural == "GRAY":
        raise UsageError(f"preset {name!r} is for colour images, but the model takes gray ones")
    if color not in (None, preset.color):
        raise UsageError(
            f"preset {name!r} is {preset.color} with one value per channel; with --color {color}, "
            "state the values with --scale/--bias or --mean/--std"
        )
    return preset


def _head(options: ModelOptions, source: SourceDescription) -> tuple[Head, str | None]:
    if options.head is not None:
        stated = Head(kind=one_of(options.head, HEADS, "head"))
        _check_stated(stated, source)
        return stated, None
    if source.head is None:
        raise SourceError(
            f"the model ends in {source.last_operation} with {source.outputs} values, which is "
            f"none of the known heads; {_head_advice(source)}"
        )
    if "log_softmax" in source.last_operation:
        return Head(kind="logits"), (
            f"head: the model ends in {source.last_operation}, so a softmax is appended; that of "
            "log-probabilities are the probabilities"
        )
    if source.head == "logits":
        return Head(kind="logits"), (
            f"head: the model ends in {source.last_operation} without a softmax, so one is "
            "appended (--head softmax if its values are probabilities already)"
        )
    return Head(kind=source.head), None


def _check_stated(stated: Head, source: SourceDescription) -> None:
    """Hold a stated head against what the model's last operation shows."""
    if source.head == "softmax" and stated.appended:
        raise UsageError(
            f"--head {stated.kind}: the model ends in a softmax already; leave --head out"
        )
    if source.head == "softmax" and stated.answer == "labels":
        raise UsageError(
            f"--head {stated.kind}: the model ends in a softmax, so its labels exclude each other; "
            "leave --head out"
        )
    if _ends_in_sigmoid(source) and stated.appended:
        raise UsageError(
            f"--head {stated.kind}: the model ends in a sigmoid already; pass --head "
            f"{'sigmoid' if source.outputs == 1 else 'multi-label'}"
        )
    if not stated.fits(source.outputs):
        raise UsageError(f"--head {stated.kind}: the model gives {source.outputs} values per image")


def _ends_in_sigmoid(source: SourceDescription) -> bool:
    return source.last_operation.lower() == "sigmoid"


def _head_advice(source: SourceDescription) -> str:
    if _ends_in_sigmoid(source):
        return "if each is the probability of a label by itself, pass --head multi-label"
    if source.outputs == 1:
        return (
            "put a sigmoid behind it, so that the one value is the second label's probability, or "
            "pass --head sigmoid-logits to have one appended; for a plain value, pass "
            "--head regression"
        )
    return f"state one with --head ({', '.join(HEADS)})"


def _positive_note(contract: Contract) -> str | None:
    if contract.positive is None:
        return None
    return (
        f"head: one unit, whose p is the probability of {contract.positive!r} (the second label), "
        f"and 1 - p that of {contract.labels.names[0]!r}"
    )


def _labels(
    stated: StatedLabels | None, source: SourceDescription, head: Head
) -> tuple[StatedLabels, str | None]:
    count = head.scores_of(source.outputs)
    if stated is None:
        numbered = Labels.of_values(count) if head.answer == "values" else Labels.numbered(count)
        called = " ... ".join(dict.fromkeys((numbered.names[0], numbered.names[-1])))
        note = (
            f"labels: none found, so the {_NOUNS[head.answer]} are called {called}; "
            f"give --labels FILE, or put a {LABELS_NAME} beside the model"
        )
        return StatedLabels(numbered, "numbered"), note
    if len(stated.labels) != count:
        raise LabelsError(_count_message(stated, head, source.outputs))
    return stated, None


def _count_message(stated: StatedLabels, head: Head, outputs: int) -> str:
    labels, count = stated.labels, head.scores_of(outputs)
    message = f"{stated.origin}: {len(labels)} labels, but the model has {outputs} outputs"
    if head.is_one_unit:
        return f"{message}; a sigmoid model has two labels, the second for outputs near 1"
    if head.answer == "values":
        return f"{message}; give one name per line, in the order of the outputs"
    if len(labels) == count + 1 and labels.names[0].lower() == "background":
        return f"{message}; drop its 'background' line"
    if len(labels) == count - 1:
        return f"{message}; is a 'background' line missing at its top?"
    return f"{message}; give one label per line, in the order of the outputs"
