"""Small but real networks: the lowering against the slow interpreter, and against torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runtime.coreml.mil_programs import ct
from runtime.coreml.torch_programs import (
    LABELS,
    answers,
    converted,
    interpreted,
    photos,
    saved,
    torch_scores,
)

SIZE = 32
PHOTOS = photos(SIZE)
CLASSES = len(LABELS)
ROUNDING = 5e-6
"""What float32 sums cost against the interpreter's float64 ones over 53 layers; 2.5e-6 was seen."""


def convolved(before: int, after: int, size: int, **options: Any) -> list[nn.Module]:
    padding = options.pop("padding", size // 2)
    convolution = nn.Conv2d(before, after, size, padding=padding, bias=False, **options)
    return [convolution, nn.BatchNorm2d(after)]


class InvertedResidual(nn.Module):
    """The block of MobileNetV2 (arXiv 1801.04381, table 1)."""

    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        layers = [*convolved(before, wide, 1), nn.ReLU6()] if expansion > 1 else []
        layers += [*convolved(wide, wide, 3, stride=stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, *convolved(wide, after, 1))
        self.is_residual = stride == 1 and before == after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 of width 0.35 (table 2), whose channels are multiples of 8."""
    rows = [(1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2),
            (6, 112, 1, 1)]  # fmt: skip
    layers = [*convolved(3, 16, 3, stride=2), nn.ReLU6()]
    before = 16
    for expansion, after, repeats, stride in rows:
        for repeat in range(repeats):
            layers.append(InvertedResidual(before, after, 1 if repeat else stride, expansion))
            before = after
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, CLASSES), nn.Softmax(dim=1)]
    return nn.Sequential(*layers, *convolved(before, 256, 1), nn.ReLU6(), *head)


class TransformerBlock(nn.Module):
    """The block of a vision transformer (arXiv 2010.11929, section 3.1)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, width = x.shape[1:]
        parts = self.qkv(self.norms[0](x)).reshape(1, count, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        x = x + self.joined((attention @ v).transpose(1, 2).reshape(1, count, width))
        return x + self.mlp(self.norms[1](x))


class VisionTransformer(nn.Module):
    """Two blocks on patches of 8 x 8 pixels, with a class token."""

    def __init__(self) -> None:
        super().__init__()
        width = 48
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.Sequential(TransformerBlock(width, 3), TransformerBlock(width, 4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        x = self.norm(self.blocks(x + self.positions))
        return self.head(x[:, 0]).softmax(-1)


class SqueezedResidual(nn.Module):
    """A residual block with squeeze-and-excite (arXiv 1709.01507, figure 3)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolved(before, after, 3, stride=stride), nn.ReLU(), *convolved(after, after, 3)
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(after, 4, 1), nn.ReLU(), nn.Conv2d(4, after, 1),
            nn.Sigmoid(),
        )  # fmt: skip
        self.shortcut = nn.Sequential(*convolved(before, after, 1, stride=stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return torch.relu(self.shortcut(x) + y * self.gate(y))


def squeezed_residual_network() -> nn.Module:
    blocks = [SqueezedResidual(8, 16, 2), SqueezedResidual(16, 24, 1), SqueezedResidual(24, 32, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES), nn.Softmax(dim=1)]
    return nn.Sequential(*convolved(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), *blocks, *head)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MobileNetV2": mobilenet_v2,
    "vision transformer": VisionTransformer,
    "squeeze-and-excite": squeezed_residual_network,
}


def trained(name: str) -> nn.Module:
    """A network whose signal reaches its head, as in a trained one.

    Batch normalisation takes the statistics of noise, since those of a fresh network let the signal
    die in fifty layers, and every photo would get the same answer.
    """
    torch.manual_seed(11)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        if name != "vision transformer":  # It has none, and takes one image at a time.
            network.train()(torch.randn(16, 3, SIZE, SIZE))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float32_program_answers_as_the_interpreter_and_as_torch(
    name: str, tmp_path: Path
) -> None:
    network = trained(name)
    files = saved(converted(network, SIZE, ct.precision.FLOAT32, ct.target.iOS15), tmp_path)
    found = answers(*files, PHOTOS)
    assert np.ptp(found, axis=0).max() > 1e-4  # The photos make a difference.
    np.testing.assert_allclose(found, interpreted(*files, PHOTOS), atol=ROUNDING)
    np.testing.assert_allclose(found, torch_scores(network, PHOTOS), atol=ROUNDING)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float16_program_answers_as_the_interpreter(name: str, tmp_path: Path) -> None:
    files = saved(converted(trained(name), SIZE, ct.precision.FLOAT16, ct.target.iOS15), tmp_path)
    stored = answers(*files, PHOTOS)
    np.testing.assert_allclose(stored, interpreted(*files, PHOTOS), atol=ROUNDING)
    estimate = answers(*files, PHOTOS, "device-estimate")
    # Rounding at every step lets float32 and float64 sums fall on different sides of a step.
    np.testing.assert_allclose(estimate, interpreted(*files, PHOTOS, half=True), atol=3e-3)
    assert not np.array_equal(estimate, stored)
