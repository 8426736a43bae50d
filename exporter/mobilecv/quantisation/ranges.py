"""The value ranges of a float network's tensors on photos, and where to clip them.

A range that covers every outlier makes the steps of int8 coarse for all other values; one that is
too narrow clips. The range chosen by default makes the mean squared error of rounding and clipping
together the smallest (as in Nagel et al. 2021, "A White Paper on Neural Network Quantization",
arXiv 2106.08295, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import ConversionError

Range: TypeAlias = tuple[float, float]
"""(low, high), around or beside 0, as zero must be one of the levels."""

PIXEL_RANGE: Final = (0.0, 255.0)
"""The image's range whatever the photos hold: with it the input's scale is 1 and its zero point 0,
so that a photo's own bytes are the quantised input."""

_VALUES_PER_PHOTO: Final = 512
LEVELS: Final = 256
"""Of an activation in int8."""
LARGEST_WEIGHT: Final = 127
"""The largest level of a weight in int8; weights are symmetric, -127..127."""
_CANDIDATES: Final = np.linspace(1.0, 0.4, 41)
"""Shares of the full range that are tried."""
_BINS: Final = 2048
"""Of the histogram that the entropy rule looks at: eight for every level."""
_LEAST_SHARE: Final = 1e-9
"""Of a histogram's mass in one bin; less would be infinitely unlike."""
_OUTSIDE: Final = 0.05
"""The percentage of values that the percentile rule clips on either side."""
_ANY_RANGE: Final = (0.0, 1.0)
"""For a tensor that is zero on every photo, such as a dead unit's. An empty range would give the
scale 0, by which ai-edge-quantizer 0.10 divides: LiteRT could not open the file."""


@dataclass
class Observed:
    """What one tensor held on the photos."""

    name: str
    lows: list[float] = field(default_factory=list)
    """The smallest value on each photo."""
    highs: list[float] = field(default_factory=list)
    """The largest value on each photo."""
    values: list[NDArray[np.float32]] = field(default_factory=list)
    """A sample of its values."""

    @property
    def low(self) -> float:
        """The smallest value of all."""
        return min(self.lows)

    @property
    def high(self) -> float:
        """The largest value of all."""
        return max(self.highs)

    def add(self, values: NDArray[np.float32], random: np.random.Generator) -> None:
        """Take what the tensor held on one more photo.

        Raises:
            ConversionError: If it is NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low + high):
            raise ConversionError(f"the model gives NaN or infinity in {self.name}")
        self.lows.append(low)
        self.highs.append(high)
        flat = values.ravel()
        if flat.size > _VALUES_PER_PHOTO:
            flat = flat[random.integers(0, flat.size, _VALUES_PER_PHOTO)]
        self.values.append(flat)


RangeRule: TypeAlias = Callable[[NDArray[np.float32], float, float], Range]
"""(a sample of a tensor's values, its true minimum, its true maximum) -> its range for int8."""


def ranges_by(rule: RangeRule, observed: Mapping[str, Observed]) -> dict[str, Range]:
    """Every observed tensor's range."""
    return {
        name: rule(np.concatenate(tensor.values), tensor.low, tensor.high)
        for name, tensor in observed.items()
    }


def least_squares_range(values: NDArray[np.float32], low: float, high: float) -> Range:
    """The share of a full range whose 256 levels give the smallest mean squared error."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return _ANY_RANGE
    errors = []
    for share in _CANDIDATES:
        scale = (high - low) * share / (LEVELS - 1)
        zero_point = np.round(-low * share / scale)
        levels = np.clip(np.round(values / scale) + zero_point, 0, LEVELS - 1)
        errors.append(float(np.mean(((levels - zero_point) * scale - values) ** 2)))
    share = float(_CANDIDATES[int(np.argmin(errors))])
    return low * share, high * share


def full_range(values: NDArray[np.float32], low: float, high: float) -> Range:  # noqa: ARG001
    """Minimum and maximum: nothing is clipped."""
    low, high = min(low, 0.0), max(high, 0.0)
    return _ANY_RANGE if low == high else (low, high)


def percentile_range(values: NDArray[np.float32], low: float, high: float) -> Range:
    """All but the outermost 0.05 % of the sample on either side."""
    inner_low, inner_high = np.percentile(values, [_OUTSIDE, 100 - _OUTSIDE])
    inner_low, inner_high = min(float(inner_low), 0.0), max(float(inner_high), 0.0)
    return full_range(values, low, high) if inner_low == inner_high else (inner_low, inner_high)


def entropy_range(values: NDArray[np.float32], low: float, high: float) -> Range:
    """The share of a full range whose 256 levels keep the histogram most alike.

    The measure is the Kullback-Leibler divergence (Migacz 2017, "8-bit Inference with TensorRT",
    GPU Technology Conference).
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return _ANY_RANGE
    counts, edges = np.histogram(values, _BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    divergences = [
        _divergence(counts, (centres >= low * share) & (centres <= high * share))
        for share in _CANDIDATES
    ]
    share = float(_CANDIDATES[int(np.argmin(divergences))])
    return low * share, high * share


def _divergence(counts: NDArray[np.int64], inside: NDArray[np.bool_]) -> float:
    """Of a clipped histogram from that which 256 levels leave of it.

    A level's mass is spread over those of its bins that are not empty. Clipped values are not in
    that mass, so that clipping shows.

    Args:
        counts: (bins,), the values in each bin.
        inside: (bins,), whether a bin lies in the range that is tried.
    """
    kept = counts[inside].astype(np.float64)
    first = int(inside.argmax())
    clipped = kept.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[first + len(kept) :].sum()
    level, filled = np.arange(len(kept)) * LEVELS // len(kept), clipped > 0
    mass = np.bincount(level, kept, LEVELS) / np.maximum(np.bincount(level, filled, LEVELS), 1)
    true = clipped[filled] / clipped.sum()
    found = np.maximum(mass[level][filled] / max(kept.sum(), 1), _LEAST_SHARE)
    return float((true * np.log(true / found)).sum())


RANGE_RULES: Final[Mapping[str, RangeRule]] = {
    "least squares": least_squares_range,
    "minima and maxima": full_range,
    "percentile": percentile_range,
    "entropy": entropy_range,
}
USUAL_RULE: Final = "least squares"
"""With it, the answers of int8 are nearer to the float network's than with minima and maxima: the
divergence was a tenth to a third smaller on ResNet8 and MobileNetV2, and a tenth larger on
MobileNetV1 x0.25."""
