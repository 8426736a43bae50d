"""What every kind of trained model offers, and the answers that artifacts are held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from mobilecv.captures import Capture
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.heads import Head, HeadKind
from mobilecv_runtime.spec import Contract, FloatArray, Resample, UInt8Array

_ROUNDING: Final = 1e-2
"""How far from 1 float32 and float16 probabilities may sum."""
_EXACT: Final = 1e-4
"""How far from 1 the float32 probabilities of a softmax sum at most."""


@dataclass(frozen=True, kw_only=True)
class StatedInput:
    """What the user says about the model's input, for models that do not say it themselves."""

    size: tuple[int, int] | None = None
    """(height, width)."""
    channels: int | None = None
    """1 or 3."""


@dataclass(frozen=True, kw_only=True)
class SuggestedInput:
    """What is published about an architecture's input; holds where the user says nothing."""

    origin: str
    """Who says so."""
    size: tuple[int, int] | None = None
    """(height, width)."""
    mean: tuple[float, ...] | None = None
    """One per channel, for pixels in 0..1."""
    std: tuple[float, ...] | None = None
    resample: Resample | None = None
    crop_fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class SourceDescription:
    """What a trained model says about itself."""

    framework: str
    height: int | None
    """Rows of its input; None if it takes any."""
    width: int | None
    channels: int
    outputs: int
    """How many values it gives per image."""
    head: HeadKind | None
    """The head that its last operation tells of; None where it cannot be told."""
    last_operation: str
    """That operation's name, for messages."""
    normalises: tuple[str, ...]
    """Layers that normalise or rescale the input inside the model."""
    tools: dict[str, str]
    """Name and version of the packages that loaded it."""
    usual_preset: str = "tf"
    """The preset that most models of the framework are trained with."""
    suggested: SuggestedInput | None = None
    notes: tuple[str, ...] = ()
    """What was decided while it was loaded."""


class SourceModel(Protocol):
    """A trained model, loaded by its own framework."""

    def describe(self, stated: StatedInput) -> SourceDescription:
        """What it takes and gives.

        Raises:
            UsageError: If what is stated about the input is needed and missing.
            SourceError: If it is no image classifier.
        """

    def outputs(self, values: FloatArray) -> FloatArray:
        """Run the network.

        Args:
            values: (count, height, width, channels), float32, normalised.

        Returns:
            (count, outputs), float32, exactly what the model gives.
        """

    def capture(self, path: Path, shape: tuple[int, int, int]) -> Capture:
        """Write the network, without normalisation and head, for the targets to convert.

        Args:
            path: Where it goes; the kind of capture chooses the suffix.
            shape: (height, width, channels) of the input.
        """


class Reference:
    """The source model under the contract: raw pixels in, one score per label out.

    Normalisation and head are computed here in numpy, independently of the graphs that the
    artifacts carry.
    """

    engine = "the source's own framework"

    def __init__(self, source: SourceModel, contract: Contract) -> None:
        """Put a source under a contract."""
        self._source = source
        self.contract: Contract | None = contract
        self.label_names = contract.labels.names
        self._preprocessing, self._head = contract.preprocessing, contract.head

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `mobilecv_runtime.runners.Runner.scores`."""
        return self._head.apply(self._source.outputs(self._preprocessing.apply(pixels)))


class SourceSession:
    """A source in the process that holds it: describes, answers and captures when called."""

    def __init__(self, source: SourceModel) -> None:
        """Hold a loaded source."""
        self._source = source

    def describe(self, stated: StatedInput) -> SourceDescription:
        """See `SourceModel.describe`."""
        return self._source.describe(stated)

    def scores(self, pixels: UInt8Array, contract: Contract) -> FloatArray:
        """See `Reference`.

        Raises:
            SourceError: If the model itself answers NaN or infinity, or gives other values than
                the head says.
        """
        scores = Reference(self._source, contract).scores(pixels)
        if not np.isfinite(scores).all():
            raise SourceError(
                "the model itself answers NaN or infinity; look for NaN weights, or a "
                "preprocessing that it was not trained with"
            )
        _check_scores(scores, contract)
        return scores

    def capture(self, path: Path, shape: tuple[int, int, int]) -> Capture:
        """See `SourceModel.capture`."""
        return self._source.capture(path, shape)


def _check_scores(scores: FloatArray, contract: Contract) -> None:
    """A head that is stated wrongly shows in values that are none of its answers."""
    match contract.head.answer:
        case "one label":
            _check_one_label(scores, contract.head)
        case "labels":
            _check_labels(scores, contract.head)
        case "values":
            pass  # Any numbers are.


def _check_one_label(scores: FloatArray, head: Head) -> None:
    sums = scores.sum(axis=1)
    if scores.min() >= -_ROUNDING and abs(sums - 1).max() <= _ROUNDING:
        return
    advice = "leave --head out, or pass --head logits to have a softmax appended"
    if head.is_one_unit:
        advice = "pass --head sigmoid-logits to have a sigmoid appended"
    elif scores.min() >= -_ROUNDING and scores.max() <= 1 + _ROUNDING:
        advice += ", or --head multi-label if each is the probability of a label by itself"
    raise SourceError(
        f"head {head.kind!r}: the model's values are no probabilities (on a test "
        f"image they lie in {scores.min():.3g} ... {scores.max():.3g} and sum to "
        f"{sums[0]:.3g}); {advice}"
    )


def _check_labels(scores: FloatArray, head: Head) -> None:
    if scores.min() < -_ROUNDING or scores.max() > 1 + _ROUNDING:
        raise SourceError(
            f"head {head.kind!r}: the model's values are no probabilities (on the test images they "
            f"lie in {scores.min():.3g} ... {scores.max():.3g}); pass --head multi-label-logits to "
            "have a sigmoid appended to each"
        )
    if abs(scores.sum(axis=1) - 1).max() <= _EXACT:
        raise SourceError(
            f"head {head.kind!r}: the model's values sum to 1 on every test image, as those of a "
            "softmax do, so its labels exclude each other; leave --head out, or pass --head softmax"
        )
