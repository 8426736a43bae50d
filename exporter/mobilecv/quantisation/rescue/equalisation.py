"""The step that evens out the channels of tensors between two layers.

Cross-layer equalisation (Nagel et al. 2019, arXiv 1906.04721, section 4.1): dividing a channel by
s behind one layer, and multiplying it by s in the weights of the next, changes no answer as long as
nothing but scalable operations (ReLU, pooling, sums) lies between them; where tensors meet in a
residual sum, all layers around it share one s. The paper evens out the weights of both layers. Here
weights have a scale for each output channel, so those of the first layer need no help; the channels
of the tensor itself share one scale and do (as in SmoothQuant, Xiao et al. 2022, arXiv 2211.10438,
equation 4 with alpha = 0.5). A depthwise convolution has a scale for each of the channels, so there
the tensor gets all.

Every s is a power of two: it changes exponents only, and the float answers stay the same to the bit
except where they leave the range of float32. ReLU6 and hard-swish are not scalable: no pair is
equalised through them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mobilecv.quantisation.networks.interface import (
    SCALABLE_KINDS,
    FloatNetwork,
    Floats,
    Slot,
    Weights,
)
from mobilecv.quantisation.ranges import USUAL_RULE
from mobilecv.quantisation.rescue.candidate import Candidate, Context
from mobilecv.quantisation.rescue.channel_peaks import ChannelPeaks

_LARGEST_EXPONENT: Final = 16
"""No channel is scaled by more than 2 to this power, nor by less than its inverse."""
_ROUNDS: Final = 2
"""Chains of layers pass the scales on, and a second round settles them. More are not worth their
time: each one measures the network anew."""


@dataclass
class Group:
    """Tensors whose channels must be scaled together, and the layers at its ends."""

    tensors: set[str]
    makers: list[Weights] = field(default_factory=list)
    readers: list[Weights] = field(default_factory=list)
    is_closed: bool = True
    """Whether nothing but these weighted layers makes or reads them."""


class Equalise:
    """Evens out the channels of tensors between weighted layers."""

    name = "equalisation"

    def apply(self, candidate: Candidate, context: Context) -> Iterator[Candidate]:
        """The equalised network with its usual ranges, and with those that did best so far."""
        network, peaks = candidate.network, context.channel_peaks(candidate.network)
        for number in range(_ROUNDS):
            # What is on the way only is not kept: it is another copy of the weights.
            if number:
                peaks = ChannelPeaks.on(network, context.photos)
            scaled = equalised(network, peaks)
            if scaled is None:
                break
            network = scaled
        if network is candidate.network:
            return
        for rule in dict.fromkeys((USUAL_RULE, candidate.rule)):
            yield dataclasses.replace(
                candidate,
                network=network,
                rule=rule,
                rewritten=(*candidate.rewritten, "channels equalised"),
            )


def equalised(network: FloatNetwork, peaks: ChannelPeaks) -> FloatNetwork | None:
    """The network with the channels of all groups evened out; None if there is nothing to do."""
    changed: dict[Slot, Floats] = {}

    def scale(slot: Slot, factors: Floats, axis: int) -> None:
        values = changed[slot] if slot in changed else network.constant(slot)
        shape = [1] * values.ndim
        shape[axis] = len(factors)
        changed[slot] = values * factors.reshape(shape)

    for group in groups(network):
        scales = _scales(group, network, peaks)
        if scales is None or (scales == 1).all():
            continue
        for maker in group.makers:
            scale(maker.slot, np.reciprocal(scales), maker.output_axis)
            if maker.bias is not None:
                scale(maker.bias, np.reciprocal(scales), 0)
        for reader in group.readers:
            scale(reader.slot, scales, _input_axis(reader))
    return network.with_constants(changed) if changed else None


def groups(network: FloatNetwork) -> list[Group]:
    """What can be equalised: two layers behind each other, or all that meet in residual sums."""
    by_tensor: dict[str, Group] = {}

    def group_of(tensor: str) -> Group:
        return by_tensor.setdefault(tensor, Group({tensor}))

    for layer in network.layers:
        if layer.kind in SCALABLE_KINDS:
            merged = Group({layer.name})
            for tensor in layer.inputs:
                merged.tensors |= group_of(tensor).tensors
            by_tensor.update(dict.fromkeys(merged.tensors, merged))
    made = {layer.name for layer in network.layers}
    for layer in network.layers:
        if layer.kind in SCALABLE_KINDS:
            continue
        after, place = group_of(layer.name), layer.weights
        if place is None or not layer.is_linear:
            after.is_closed = False
        else:
            after.makers.append(place)
        for before in map(group_of, layer.inputs):
            if place is None or place.input_axis is None:
                before.is_closed = False
            else:
                before.readers.append(place)
    found = {id(group): group for group in by_tensor.values()}.values()
    return [
        group
        for group in found
        if group.is_closed
        and group.makers
        and group.readers
        and group.tensors <= made
        and not group.tensors & set(network.outputs)
    ]


def _scales(group: Group, network: FloatNetwork, channels: ChannelPeaks) -> Floats | None:
    """What to divide each channel by, powers of two; None if the channels do not match."""
    peaks = [channels.found[tensor] for tensor in group.tensors if tensor in channels.found]
    counts = {len(each) for each in peaks}
    counts |= {network.constant(each.slot).shape[each.output_axis] for each in group.makers}
    counts |= {network.constant(each.slot).shape[_input_axis(each)] for each in group.readers}
    if len(counts) != 1 or not peaks:
        return None
    wanted = np.max(peaks, axis=0).astype(np.float64)
    loads = [_loads(network, each) for each in group.readers if not each.is_depthwise]
    usable = wanted > 0
    if loads:
        load = np.max(loads, axis=0)
        usable &= load > 0
        wanted = np.sqrt(wanted / np.where(usable, load, 1))
    if not usable.any():
        return None
    # What is common to all channels changes nothing, so the largest one stays as it is.
    exponents = np.round(np.log2(np.where(usable, wanted, 1) / wanted[usable].max()))
    exponents = np.clip(np.where(usable, exponents, 0), -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    scales: Floats = np.exp2(exponents).astype(np.float32)
    return scales


def _loads(network: FloatNetwork, place: Weights) -> Floats:
    """(input channels,): each one's largest |weight|, as a share of the largest of all."""
    values, axis = np.abs(network.constant(place.slot)), _input_axis(place)
    loads: Floats = values.max(axis=tuple(each for each in range(values.ndim) if each != axis))
    return loads / max(float(loads.max()), float(np.finfo(np.float32).tiny))


def _input_axis(place: Weights) -> int:
    if place.input_axis is None:
        raise ValueError("a layer with grouped channels is no part of a group")
    return place.input_axis
