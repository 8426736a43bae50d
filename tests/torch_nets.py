"""Small seeded PyTorch networks that test modules share."""

from __future__ import annotations

import torch
from torch import nn


class MobileNetLike(nn.Module):
    """What mobile convnets are made of: depthwise, squeeze-and-excite, residual, hard swish."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(8, 4, 1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 1),
            nn.Hardsigmoid(),
        )
        self.dropout = nn.Dropout(0.5)
        self.classify = nn.Linear(8, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = self.stem(image)
        depthwise = self.depthwise(stem)
        mixed = stem + depthwise * self.excite(depthwise)
        return self.classify(self.dropout(mixed.mean((2, 3))))


def mobilenet_like(channels: int) -> MobileNetLike:
    """The network for 32x32 images, with statistics and well-spread logits, in training mode."""
    torch.manual_seed(0)
    network = MobileNetLike(channels).train()
    with torch.no_grad():
        for _ in range(8):
            network(torch.randn(8, channels, 32, 32))
        network.classify.weight *= 25
    return network


class Branching(nn.Module):
    """Looks at the pixels to decide what to do."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        means = image.mean((2, 3))
        if means.sum() > 0:
            return means
        return -means


class OneImageOnly(nn.Module):
    """Does something else for large batches."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        means = image.mean((2, 3))
        return means if image.shape[0] < 5 else means.flip(1)


class ImageOut(nn.Module):
    """Is no classifier."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * 2
