"""Keeps every bias within the 32 bits that int8 arithmetic has for it.

A bias is stored in units of its channel's weight scale times its input's scale. A channel that
training has switched off has weights of nearly nothing beside a bias that is not: in such units the
bias needs more than 32 bits, and ai-edge-quantizer (0.10) fails, or stores something else without a
word. Of MobileNetV2 (ImageNet), eleven channels are so; without their biases, the answers to 100
photos moved by 0.029 in probability, with them by 0.018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from mobilecv.quantisation.networks.interface import FloatNetwork, Floats, Slot
from mobilecv.quantisation.ranges import LARGEST_WEIGHT, LEVELS, Range

_LARGEST_BIAS: Final = float(1 << 28)
"""In its units: three bits are left for the products."""


def storable_biases(network: FloatNetwork, ranges: Mapping[str, Range]) -> dict[Slot, Floats]:
    """Weights for the channels whose bias would not fit.

    Their scale is raised as far as the bias needs. Weights below half of such a step round to zero;
    the largest one stands for the scale, and moves the output by less than a ten-thousandth of the
    bias.

    Args:
        network: The float network.
        ranges: What each tensor is quantised on.

    Returns:
        The constants to replace.
    """
    changed: dict[Slot, Floats] = {}
    for layer in network.layers:
        place = layer.weights
        if place is None or place.bias is None or layer.inputs[0] not in ranges:
            continue
        low, high = ranges[layer.inputs[0]]
        step = (high - low) / (LEVELS - 1)
        values = np.moveaxis(network.constant(place.slot), place.output_axis, 0)
        rows = values.reshape(len(values), -1)
        least = np.abs(network.constant(place.bias).ravel()) / _LARGEST_BIAS / step * LARGEST_WEIGHT
        found = np.flatnonzero(np.abs(rows).max(axis=1) < least)
        if not len(found):
            continue
        rows = rows.copy()
        largest = np.abs(rows[found]).argmax(axis=1)
        rows[found, largest] = np.copysign(least[found], rows[found, largest])
        values = np.moveaxis(rows.reshape(values.shape), 0, place.output_axis)
        changed[place.slot] = np.ascontiguousarray(values, np.float32)
    return changed
