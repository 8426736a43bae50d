"""What every wrapped network shares: the name of its input, and how its pixels are normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.spec import Preprocessing

INPUT_NAME: Final = "image"


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """The steps between raw pixels and a network's input, without those that change nothing."""

    reverses_channels: bool
    """Whether RGB becomes BGR, before scale and bias."""
    scale: tuple[float, ...]
    """One factor for all channels, one per channel in the network's order, or () for none."""
    bias: tuple[float, ...]
    """Likewise, added after the scale."""

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> Normalisation:
        """The steps that a contract asks for."""
        return cls(
            reverses_channels=preprocessing.color == "BGR",
            scale=_compact(preprocessing.scales, neutral=1),
            bias=_compact(preprocessing.biases, neutral=0),
        )


NO_NORMALISATION: Final = Normalisation(reverses_channels=False, scale=(), bias=())


def _compact(values: tuple[float, ...], *, neutral: float) -> tuple[float, ...]:
    if all(value == neutral for value in values):
        return ()
    return values[:1] if len(set(values)) == 1 else values
