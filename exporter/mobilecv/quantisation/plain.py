"""Plain int8: what is made of a network before anything is found wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from mobilecv.quantisation.coverage import Coverage, coverage, extremes_of
from mobilecv.quantisation.moments import seen
from mobilecv.quantisation.network_ranges import network_ranges
from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.ranges import USUAL_RULE
from mobilecv.quantisation.rounding import rounded_by, with_rounded
from mobilecv_runtime.spec import FloatArray, UInt8Array


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Plain int8."""

    model: bytes
    """The file: uint8 image in, float32 scores out."""
    coverage: Coverage | None
    """How steady the ranges are; None if the photos are too few to tell."""
    float_answers: FloatArray
    """(photos, labels): the float network's scores on the photos."""


def plain_int8(network: FloatNetwork, photos: UInt8Array) -> Plain:
    """Quantise weights (per channel) and activations to int8.

    Args:
        network: The float network.
        photos: (count, height, width, channels), uint8: the calibration set.

    Raises:
        ConversionError: If a quantiser fails, or a tensor takes NaN or infinity.
    """
    found = seen(network, photos)
    ranges = network_ranges(network, USUAL_RULE, found.observed)
    steadiness = coverage(extremes_of(found.observed))
    found.observed.clear()  # Its samples would stay while the weights are rounded.
    rounded = with_rounded(network, rounded_by(network, found.moments), ())
    return Plain(
        model=rounded.quantised(ranges, ()), coverage=steadiness, float_answers=found.answers
    )
