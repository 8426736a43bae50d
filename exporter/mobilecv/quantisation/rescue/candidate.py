"""One way to quantise a network, and where its parts are measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from mobilecv.quantisation.network_ranges import network_ranges
from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.ranges import USUAL_RULE, Observed
from mobilecv.quantisation.rescue.channel_peaks import ChannelPeaks
from mobilecv.quantisation.rounding import Constants, rounded_constants, with_rounded
from mobilecv_runtime.heads import Answer
from mobilecv_runtime.spec import FloatArray, UInt8Array


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step may look at besides the candidate."""

    photos: UInt8Array
    """(count, height, width, channels): the photos that ranges and means come from. The held-out
    ones are not among them."""
    expected: FloatArray
    """(count, labels): the float network's scores on these photos."""
    answer: Answer = "one label"
    """What the scores are."""
    _observed: list[tuple[FloatNetwork, dict[str, Observed], ChannelPeaks]] = field(
        default_factory=list
    )
    _rounded: list[tuple[FloatNetwork, dict[str, Constants]]] = field(default_factory=list)

    def observed(self, network: FloatNetwork) -> dict[str, Observed]:
        """What the network's tensors hold on the photos; measured once."""
        observed, _ = self._look(network)
        return observed

    def channel_peaks(self, network: FloatNetwork) -> ChannelPeaks:
        """How far the channels of its tensors reach on the photos; measured in the same run."""
        _, peaks = self._look(network)
        return peaks

    def rounded(self, network: FloatNetwork) -> dict[str, Constants]:
        """The network's rounded weights by layer; worked out once."""
        for known, rounded in self._rounded:
            if known is network:
                return rounded
        rounded = rounded_constants(network, self.photos)
        self._rounded.append((network, rounded))
        return rounded

    def keep(self, network: FloatNetwork) -> None:
        """Forget what was measured of others: it holds their weights, and rounded ones."""
        self._observed[:] = [each for each in self._observed if each[0] is network]
        self._rounded[:] = [each for each in self._rounded if each[0] is network]

    def _look(self, network: FloatNetwork) -> tuple[dict[str, Observed], ChannelPeaks]:
        for known, observed, peaks in self._observed:
            if known is network:
                return observed, peaks
        peaks = ChannelPeaks(network)
        observed = network.observe(self.photos, peaks)
        self._observed.append((network, observed, peaks))
        return observed, peaks


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A float network, and how to quantise it."""

    network: FloatNetwork
    rule: str
    """The rule for value ranges; see `RANGE_RULES`."""
    in_float: tuple[str, ...] = ()
    """Layers that stay in float32, the most harmful first."""
    rewritten: tuple[str, ...] = ()
    """What was changed in the float network, for the report."""

    @property
    def words(self) -> str:
        """What sets it apart from plain int8, for the report."""
        words = [*self.rewritten]
        if self.rule != USUAL_RULE:
            words.append(f"ranges by {self.rule}")
        if self.in_float:
            several = f"{len(self.in_float)} layers in float"
            words.append(several if self.in_float[1:] else f"{self.in_float[0]} in float")
        return ", ".join(words) or "plain int8"

    def quantised(self, context: Context) -> bytes:
        """The int8 file."""
        ranges = network_ranges(self.network, self.rule, context.observed(self.network))
        rounded = with_rounded(self.network, context.rounded(self.network), self.in_float)
        return rounded.quantised(ranges, self.in_float)


class Step(Protocol):
    """A rung of the ladder."""

    name: str

    def apply(self, candidate: Candidate, context: Context) -> Iterable[Candidate]:
        """What to try next, starting from the best so far; the smallest change first."""
