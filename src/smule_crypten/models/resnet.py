"""Residual networks for small images (CIFAR style) with BatchNorm, which folds into the convolutions for inference."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from smule_crypten.types import InputShape

_STAGES = 3


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a 1x1 convolution adapts the shortcut where the shape changes.

    (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
                    bn=nn.BatchNorm2d(out_channels),
                )
            )
        self.relu2 = nn.ReLU()

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        residual_NCHW = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x_NCHW)))))
        shortcut_NCHW = x_NCHW if self.shortcut is None else self.shortcut(x_NCHW)
        result_NCHW: torch.Tensor = self.relu2(residual_NCHW + shortcut_NCHW)
        return result_NCHW


def resnet(input_shape: InputShape, num_classes: int, blocks_per_stage: int, width: int) -> nn.Module:
    """Depth 6 * blocks_per_stage + 2; width channels in the first stage, doubled and halved in size by the next two."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(input_shape[0], width, kernel_size=3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(),
    )
    channels = width
    for stage in range(_STAGES):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(blocks_per_stage):
            out_channels = width * 2**stage
            stride = 2 if stage > 0 and number == 0 else 1
            blocks[f"block{number + 1}"] = ResidualBlock(channels, out_channels, stride)
            channels = out_channels
        layers[f"stage{stage + 1}"] = nn.Sequential(blocks)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(channels, num_classes)
    return nn.Sequential(layers)
