"""How far the values of each channel reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

import numpy as np

from mobilecv.quantisation.networks.interface import FloatNetwork, Floats
from mobilecv_runtime.spec import UInt8Array


class ChannelPeaks:
    """The largest |value| of every channel of a network's tensors, on the photos that it runs on.

    A `Watcher`.
    """

    def __init__(self, network: FloatNetwork) -> None:
        """Watch what all layers give."""
        self.tensors: Collection[str] = {layer.name for layer in network.layers}
        self.found: dict[str, Floats] = {}
        """Tensor -> (channels,), float32."""

    @classmethod
    def on(cls, network: FloatNetwork, photos: UInt8Array) -> Self:
        """Those of a network on some photos, (count, height, width, channels)."""
        peaks = cls(network)
        network.observe(photos, peaks)
        return peaks

    def add(self, name: str, values: Floats) -> None:
        """Take what a tensor holds on one more photo, channels last."""
        if values.dtype != np.float32 or not values.size or not values.ndim:
            return  # A shape, such as ONNX computes on the way.
        others = tuple(range(values.ndim - 1))
        peaks = np.maximum(values.max(axis=others), -values.min(axis=others))
        self.found[name] = np.maximum(self.found.get(name, peaks), peaks)
