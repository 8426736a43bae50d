"""What a target is, and what it is given to convert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from mobilecv.captures import Capture
from mobilecv.quantisation.findings import Findings
from mobilecv_runtime.heads import Answer, Head
from mobilecv_runtime.spec import Contract, Precision

Format: TypeAlias = Literal["coreml", "tflite", "onnx"]


SCORES_DESCRIPTIONS: Final[Mapping[Answer, str]] = {
    "one label": "The probability of every label.",
    "labels": "The probability of every label by itself; their sum is not 1.",
    "values": "The values.",
}
"""What artifacts say of their scores."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One conversion: everything that a target's `convert` may look at."""

    name: str
    """The model's name, for descriptions."""
    contract: Contract
    capture: Capture
    """The network as the source captured it."""
    base: Path | None
    """The artifact that `Target.starts_from` names; None for a target that starts from the
    capture."""
    calibration: Path | None
    """An `.npy` file of prepared pixels, (count, height, width, channels), uint8; None if the user
    gave no photos."""
    output: Path
    """The file or folder to write."""
    rescue: Path | None = None
    """An `.npy` file of the golden images' pixels, on which an int8 artifact must agree with its
    float twin or be repaired; None to leave it as it comes out."""

    @property
    def description(self) -> str:
        """One sentence about the model, for the metadata."""
        image = self.contract.image
        kind = "gray" if image.channels == 1 else "RGB"
        what = self.contract.head.describe(len(self.contract.labels))
        return f"{self.name}: {what}, {image.height}x{image.width} {kind} input"


def tensor_of_scores(head: Head) -> Mapping[str, Any]:
    """The output of the formats that have plain tensors, as the manifest tells it."""
    return {"name": head.output_name, "dtype": "float32"}


@dataclass(frozen=True, kw_only=True)
class Promised:
    """What apps are told about an artifact; see `mobilecv_runtime.verdicts.Promise`."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    minimum_runtime: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of artifact that can be asked for with `--to`."""

    id: str
    """What `--to` calls it."""
    format: Format
    """Of the artifact."""
    extra: str
    """The extra of the `mobilecv` distribution that brings its converter."""
    suffix: str
    """What its file name ends with, after the model's name."""
    precision: Precision
    minimum_runtime: str
    """The oldest runtime that reads it, as far as its files do not say it themselves."""
    input: Mapping[str, Any]
    """The image input as the manifest tells it to apps."""
    output: Callable[[Head], Mapping[str, Any]]
    """What the manifest tells apps of the scores under a head."""
    convert: Callable[[Job], Findings | None]
    """Write the artifact, and tell what the calibration photos showed, if it takes any.

    Raises ConversionError when the converter fails and MissingDependencyError when it is absent."""
    starts_from: str | None = None
    """The id of the float target that this one is made from; None to start from the capture."""
    needs_calibration: bool = False
    """Whether it cannot be made without photos."""
    tools: tuple[str, ...] = ()
    """The distributions that make it from any capture or base."""
    converters: Mapping[type[Capture], tuple[str, ...]] = field(default_factory=dict)
    """Kind of capture -> the distributions that convert it; empty for a derived target."""

    @property
    def is_derived(self) -> bool:
        """Whether it is made from a float artifact, without the framework of the source."""
        return self.starts_from is not None

    def promised(self, head: Head, minimum_runtime: str | None = None) -> Promised:
        """What apps are told about an artifact.

        Args:
            head: Of the model.
            minimum_runtime: What the file itself says; None if it does not.
        """
        return Promised(
            input=self.input,
            output=self.output(head),
            minimum_runtime=minimum_runtime or self.minimum_runtime,
        )

    def tools_for(self, capture: Capture) -> tuple[str, ...]:
        """The distributions whose versions go into the manifest."""
        return (*self.tools, *self.converters.get(type(capture), ()))

    def file_name(self, name: str) -> str:
        """What the artifact is called, for a model of that name."""
        return f"{name}{self.suffix}"
