"""The scale of each output channel's weights in int8.

It is the largest weight over 127, unless the weights already lie on whole multiples of something
coarser, as after training with their rounding (Jacob et al. 2018, arXiv 1712.05877), or in a
network taken from an int8 file: such weights keep their very levels. Of MobileNetV1 x0.25 and x0.5,
trained by others with one scale per tensor, all but a few channels of each layer are so; the
answers to 100 photos moved by 0.022 and 0.016 in probability with their levels kept, and by 0.025
and 0.022 with others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mobilecv.quantisation.networks.interface import FloatNetwork, Floats
from mobilecv.quantisation.ranges import LARGEST_WEIGHT

_TOLERANCE: Final = 1e-3
"""How far from a whole number of steps a weight may be: a hundred times what float32 leaves."""
_PROBED: Final = 16
"""Weights of each channel that are looked at first."""
_ROWS: Final = 64
"""Channels that are looked at together, so that a wide layer is not there several times."""


def channel_steps(rows: Floats) -> NDArray[np.float64]:
    """The step between two levels of each output channel.

    Args:
        rows: (groups, outputs, inputs).

    Returns:
        (groups, outputs, 1). The finest step on which all weights of a channel lie, if there is one
        of at most 127 levels; since a bias is stored in such steps too, coarser ones are worse.
    """
    flat = rows.reshape(-1, rows.shape[2])
    peaks = np.abs(flat).max(axis=1).astype(np.float64)
    peaks[peaks == 0] = 1
    levels = np.full(len(flat), LARGEST_WEIGHT)
    probes = flat[:, :: max(flat.shape[1] // _PROBED, 1)] / peaks[:, None]
    waiting = np.ones(len(flat), bool)
    for level in range(LARGEST_WEIGHT, 0, -1):
        possible = np.flatnonzero(waiting)
        possible = possible[_are_multiples(probes[possible], level)]
        for part in np.array_split(possible, len(possible) // _ROWS + 1):
            found = part[_are_multiples(flat[part] / peaks[part, None], level)]
            levels[found], waiting[found] = level, False
    steps: NDArray[np.float64] = peaks / levels
    return steps.reshape(*rows.shape[:2], 1)


def _are_multiples(shares: NDArray[np.float64], level: int) -> NDArray[np.bool_]:
    """Which rows are whole multiples of a `level`-th; (rows, weights), as shares of their peak."""
    scaled = shares * level
    return np.asarray((np.abs(scaled - np.round(scaled)) <= _TOLERANCE).all(axis=1))


def unusual_steps(network: FloatNetwork) -> dict[str, tuple[int, NDArray[np.float64]]]:
    """The steps of the weights that a quantiser would choose otherwise.

    Returns:
        Layer name -> (the axis of its output channels, (channels,) steps), for layers that have a
        channel with another step than its largest weight over 127.
    """
    found = {}
    for layer in network.layers:
        weights = layer.weights
        if weights is None or weights.order is None:
            continue
        rows = weights.rows(network.constant(weights.slot))
        steps = channel_steps(rows)
        usual = np.abs(rows).max(axis=2, keepdims=True) / LARGEST_WEIGHT
        if (steps > usual * (1 + 1e-6)).any() and usual.any():
            found[layer.name] = weights.output_axis, steps.ravel()
    return found
