"""The module around a captured PyTorch network that takes raw pixels and gives scores.

Imported only where torch is known to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch

from mobilecv.captures.interface import Normalisation
from mobilecv_runtime.heads import Head

Layout: TypeAlias = Literal["NHWC", "NCHW", "rows"]
"""Where the raw pixels have their channels, and where they are normalised. `rows` is NHWC too, but
normalises rows of width * channels values: XNNPACK takes four times as long over constants of three
values."""


class RawPixels(torch.nn.Module):
    """Normalisation, network and head as one module."""

    scale: torch.Tensor
    bias: torch.Tensor

    def __init__(
        self,
        network: torch.fx.GraphModule,
        steps: Normalisation,
        head: Head,
        layout: Layout,
        width: int,
    ) -> None:
        """Wrap a network.

        Args:
            network: From (batch, channels, height, width) to (batch, outputs), both float32.
            steps: How to normalise.
            head: How the outputs become scores.
            layout: Where the channels of the raw pixels are.
            width: Of the images.
        """
        super().__init__()
        # Not by `eval()`, which a captured network refuses: its mode is fixed.
        self.training = False
        self.network = network
        self._steps, self._head, self._layout = steps, head, layout
        self.register_buffer("scale", _constants(steps.scale, layout, width), persistent=False)
        self.register_buffer("bias", _constants(steps.bias, layout, width), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Raw pixels, uint8 or float32, to (batch, labels), float32."""
        if self._layout == "NHWC":
            # Contiguous, since torch else remembers "channels last" and sets strides explicitly
            # behind some operations: torch.onnx 2.13 writes nine nodes for every such place.
            image = image.permute(0, 3, 1, 2).contiguous()
        values = image.to(torch.float32)
        if self._steps.reverses_channels:
            values = values.flip(-1 if self._layout == "rows" else 1)
        if self._layout == "rows":
            rows = self._normalised(values.flatten(2))
            values = rows.reshape(values.shape).permute(0, 3, 1, 2)
        else:
            values = self._normalised(values)
        return _scores(self.network(values), self._head)

    def _normalised(self, values: torch.Tensor) -> torch.Tensor:
        if self._steps.scale:
            values = values * self.scale
        if self._steps.bias:
            values = values + self.bias
        return values


def _constants(values: Sequence[float], layout: Layout, width: int) -> torch.Tensor:
    """One constant per channel, or for a whole row of pixels."""
    constants = torch.tensor(values, dtype=torch.float32)
    if layout == "rows" and len(values) > 1:
        return constants.repeat(width)
    return constants.reshape(-1, 1, 1)


def _scores(outputs: torch.Tensor, head: Head) -> torch.Tensor:
    if head.appended == "softmax":
        outputs = torch.softmax(outputs, dim=1)
    elif head.appended == "sigmoid":
        outputs = torch.sigmoid(outputs)
    if head.is_one_unit:
        outputs = torch.cat([1 - outputs, outputs], dim=1)
    return outputs
