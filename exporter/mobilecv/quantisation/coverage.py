"""Would more calibration photos still move the value ranges?

Half of the photos and all of them give two ranges for every tensor of the network. Where they are
the same, the sample has shown what there is; where they still differ, more photos would help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv.quantisation.ranges import Observed

_SPLITS: Final = 8
_MOVING: Final = 0.06
"""Of the median over the tensors. On the MLPerf Tiny ResNet8 (CIFAR-10 photos) and person detector
(ImageNet photos) it was 6.5 and 8.1 % with 8 photos, 4.5 and 6.8 % with 32, 4.2 and 4.7 % with 200.
The worst tensor is no measure: it rests on a single photo, and stayed at 11 and 22 % with 200."""


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The smallest and the largest value of every tensor on every photo."""

    names: tuple[str, ...]
    low: NDArray[np.float32]
    """(photos, tensors)."""
    high: NDArray[np.float32]
    """(photos, tensors)."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How far ranges moved between half of the photos and all of them, as shares of the latter."""

    images: int
    median: float
    """Over the tensors."""
    worst: float
    worst_tensor: str

    @property
    def note(self) -> str | None:
        """What to do, if more photos would still change the ranges."""
        if self.median <= _MOVING:
            return None
        return (
            f"calibration: {self.images} photos are too few for steady ranges: half of them give "
            f"ranges that are {self.median:.0%} smaller (median over the tensors; "
            f"{self.worst:.0%} in {self.worst_tensor}); give more with --calibration-images"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self)


def extremes_of(observed: Mapping[str, Observed]) -> Extremes:
    """What was seen of a network's tensors while it ran on photos."""
    return Extremes(
        names=tuple(observed),
        low=np.array([each.lows for each in observed.values()], np.float32).T,
        high=np.array([each.highs for each in observed.values()], np.float32).T,
    )


def coverage(extremes: Extremes) -> Coverage | None:
    """Compare the ranges on halves of the photos with those on all.

    The mean over both halves of several seeded splits: in one split alone, the one photo with the
    extreme lies in the half that is looked at, or it does not.

    Returns:
        None for fewer than two photos, or if no tensor takes two values.
    """
    images = len(extremes.low)
    if images < 2:
        return None
    whole = extremes.high.max(axis=0) - extremes.low.min(axis=0)
    used = whole > 0
    if not used.any():
        return None
    random = np.random.default_rng(0)
    orders = [random.permutation(images) for _ in range(_SPLITS)]
    halves = [half for order in orders for half in np.array_split(order, 2)]
    ranges = [extremes.high[half].max(axis=0) - extremes.low[half].min(axis=0) for half in halves]
    moved = 1 - np.mean(ranges, axis=0)[used] / whole[used]
    return Coverage(
        images=images,
        median=float(np.median(moved)),
        worst=float(moved.max()),
        worst_tensor=str(np.array(extremes.names)[used][moved.argmax()]),
    )
