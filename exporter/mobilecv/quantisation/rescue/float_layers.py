"""The step that leaves the few worst layers in float."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from mobilecv.quantisation.network_ranges import network_ranges
from mobilecv.quantisation.networks.interface import FloatNetwork, Layer
from mobilecv.quantisation.networks.threads import usable_threads
from mobilecv.quantisation.rescue.candidate import Candidate, Context
from mobilecv.quantisation.rescue.measuring import divergence, scores_of
from mobilecv_runtime.child import tell

LARGEST_FLOAT_SHARE: Final = 0.05
"""Of the multiply-adds, for all the layers that stay in float together."""
MOST_LAYERS: Final = 16
"""More islands of float cost more conversions between float and int8 than they save."""
_PHOTOS: Final = 8
"""On how many photos the damage of each layer is measured."""


class KeepInFloat:
    """Leaves layers in float, one more for every candidate, in the order of the harm that they do.

    A layer's harm is the divergence of the answers when nothing but that layer is quantised (its
    inputs, weights and outputs). The opposite, quantising all but one, costs the same, but where
    several layers break the answers no single exception mends them, so it ranks none.
    """

    name = "layers in float"

    def apply(self, candidate: Candidate, context: Context) -> Iterator[Candidate]:
        """The candidate with one, two, ... layers in float, as far as the work allows."""
        network = candidate.network
        budget = LARGEST_FLOAT_SHARE * sum(layer.multiply_adds for layer in network.layers)
        chosen: list[str] = []
        for layer in ranked(candidate, context):
            if layer.multiply_adds > budget or len(chosen) == MOST_LAYERS:
                continue
            budget -= layer.multiply_adds
            chosen.append(layer.name)
            yield dataclasses.replace(candidate, in_float=(*chosen, *_carriers(network, chosen)))


def ranked(candidate: Candidate, context: Context) -> list[Layer]:
    """The layers that int8 harms, the most harmful first."""
    network = candidate.network
    ranges = network_ranges(network, candidate.rule, context.observed(network))
    layers = [
        layer
        for layer in network.layers
        if layer.kind != "moving" and not layer.is_head and not layer.is_fused
    ]
    names = {layer.name for layer in network.layers}
    expected, photos = context.expected[:_PHOTOS], context.photos[:_PHOTOS]
    harm = {}
    for number, layer in enumerate(layers, 1):
        tell(f"rescue: the harm of layer {number} of {len(layers)}")
        # The file is let go before the next one is made.
        found = scores_of(
            network.quantised(ranges, names - {layer.name}),
            network.suffix,
            photos,
            threads=usable_threads(),
        ).scores
        harm[layer.name] = divergence(expected, found, context.answer)
    return sorted(layers, key=lambda layer: -harm[layer.name])


def _carriers(network: FloatNetwork, chosen: Collection[str]) -> Sequence[str]:
    """The layers that only move values between chosen ones: in int8, they would round them."""
    readers: dict[str, list[str]] = {}
    for layer in network.layers:
        for tensor in layer.inputs:
            readers.setdefault(tensor, []).append(layer.name)
    return [
        layer.name
        for layer in network.layers
        if layer.kind == "moving"
        and set(layer.inputs) <= set(chosen)
        and set(readers.get(layer.name, [])) <= set(chosen)
    ]
