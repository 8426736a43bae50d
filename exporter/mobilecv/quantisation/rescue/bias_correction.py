"""The step that gives back what rounded weights take from a layer's mean.

Bias correction (Nagel et al. 2019, arXiv 1906.04721, section 4.2): weights W rounded to W' shift
the mean of every output channel by (W' - W) E[x], which the bias can take back. E[x] is measured on
the calibration photos, as the input channels' mean over all positions; zero padding at the border
is not counted in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

import numpy as np

from mobilecv.quantisation.rescue.candidate import Candidate, Context
from mobilecv.quantisation.rescue.network import Floats, Slot, Weights

_LARGEST_WEIGHT: Final = 127
"""Weights are symmetric, -127..127."""


class CorrectBiases:
    """Corrects the biases of all weighted layers."""

    name = "bias correction"

    def apply(self, candidate: Candidate, context: Context) -> Iterator[Candidate]:
        """The network with corrected biases."""
        observed, network = context.observed(candidate.network), candidate.network
        changed: dict[Slot, Floats] = {}
        for layer in network.layers:
            weights = layer.weights
            if weights is None or weights.bias is None or weights.input_axis is None:
                continue
            means = observed[layer.inputs[0]].channel_means if layer.inputs[0] in observed else None
            values = network.constant(weights.slot)
            if means is None or len(means) != values.shape[weights.input_axis]:
                continue
            shift = mean_shift(values, means, weights)
            changed[weights.bias] = network.constant(weights.bias) - shift.astype(np.float32)
        if changed:
            yield dataclasses.replace(
                candidate,
                network=network.with_constants(changed),
                rewritten=(*candidate.rewritten, "biases corrected"),
            )


def mean_shift(values: Floats, means: np.ndarray, place: Weights) -> np.ndarray:
    """How far rounding a layer's weights moves the mean of each output channel.

    Args:
        values: The weights.
        means: (input channels,), the means of the layer's input.
        place: Their axes.

    Returns:
        (output channels,).
    """
    others = tuple(each for each in range(values.ndim) if each != place.output_axis)
    steps = np.abs(values).max(axis=others, keepdims=True) / _LARGEST_WEIGHT
    steps = np.where(steps > 0, steps, 1)
    errors = np.round(values / steps) * steps - values
    shape = [1] * values.ndim
    shape[place.input_axis or 0] = len(means)
    shift: np.ndarray = (errors.astype(np.float64) * means.reshape(shape)).sum(axis=others)
    return shift
