"""The residual networks for CIFAR-10 of He et al. (arXiv 1512.03385, section 4.2), option A.

An architecture file as users have them, for `--architecture tests/resnet_cifar.py:resnet20`. The
names of its layers are those of akamaster's pytorch_resnet_cifar10, whose checkpoints fit it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu


class Block(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.widened = planes - channels

    def shortcut(self, x: Tensor) -> Tensor:
        """Option A: every other pixel, with channels of zeros on both sides."""
        if not self.widened:
            return x
        return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.widened // 2, self.widened // 2))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, blocks, 1)
        self.layer2 = self._layer(16, 32, blocks, 2)
        self.layer3 = self._layer(32, 64, blocks, 2)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _layer(channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
        first = Block(channels, planes, stride)
        return nn.Sequential(first, *(Block(planes, planes, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


def resnet20(num_classes: int = 10) -> ResNet:
    return ResNet(3, num_classes)


def resnet32(num_classes: int = 10) -> ResNet:
    return ResNet(5, num_classes)
