"""The value ranges of all tensors of a network."""

from __future__ import annotations

from collections.abc import Mapping

from mobilecv.quantisation.networks.interface import FloatNetwork
from mobilecv.quantisation.ranges import RANGE_RULES, Observed, Range, full_range, ranges_by


def network_ranges(
    network: FloatNetwork, rule: str, observed: Mapping[str, Observed]
) -> dict[str, Range]:
    """What each tensor is quantised on.

    Args:
        network: The float network.
        rule: For all tensors but one, see `RANGE_RULES`. What the answer is read from is never
            clipped: its largest values are the answer. With the logits of MobileNetV1 x0.5 clipped
            by least squares, one of 100 photos was off by 0.28 in probability, otherwise none by
            more than 0.09.
        observed: What the network's tensors held on the photos.

    Returns:
        Tensor name -> its range.
    """
    whole = _answer_tensors(network)
    return {
        **ranges_by(RANGE_RULES[rule], observed),
        **ranges_by(full_range, {name: observed[name] for name in whole & observed.keys()}),
    }


def _answer_tensors(network: FloatNetwork) -> set[str]:
    """The tensors that the head reads, or the outputs if there is no head, under all names."""
    makers = {layer.name: layer for layer in network.layers}
    found: set[str] = set()
    pending = list(network.outputs)
    while pending:
        name = pending.pop()
        layer = makers.get(name)
        if layer is not None and layer.is_head:
            pending.extend(layer.inputs)
            continue
        found.add(name)
        if layer is not None and layer.kind == "moving":
            pending.extend(layer.inputs)
    return found
