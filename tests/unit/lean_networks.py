"""Small networks with every way in which layers of the lean scheme can meet."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

SHAPE = (2, 8, 8)


class Residual(nn.Module):
    """relu(conv(relu(conv(x))) + shortcut(x)); the convolutions of both branches see one value."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class Branches(nn.Module):
    """Two convolutions and a pooling on one value, summed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.left = nn.Conv2d(channels, channels, 3, 1, 1)
        self.right = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.left(x) + self.right(x) + x
        return result


class UsedTwice(nn.Module):
    """A convolution whose result is pooled, and is used unpooled too: nothing may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, 1, 1)
        self.pool = nn.AvgPool2d(2)
        self.after = nn.Conv2d(2, 2, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        result: torch.Tensor = self.pool(y) + self.after(torch.relu(y))
        return result


def head(channels: int, size: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(channels * size * size, 3)]


def conv(
    inputs: int, outputs: int, kernel: int = 3, *, padding: int = 1, stride: int = 1, groups: int = 1
) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(*head(2, 8)),
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 9), nn.ReLU(), nn.Linear(9, 3, bias=False)),
    "conv_relu": lambda: nn.Sequential(conv(2, 3), nn.ReLU(), conv(3, 2, stride=2), nn.ReLU(), *head(2, 4)),
    "conv_pool_relu": lambda: nn.Sequential(conv(2, 4), nn.AvgPool2d(2), nn.ReLU(), *head(4, 4)),
    "conv_pool_kept_apart": lambda: nn.Sequential(conv(2, 4), nn.AvgPool2d(4, 2, 1), nn.ReLU(), *head(4, 4)),
    "conv_relu_pool": lambda: nn.Sequential(conv(2, 4), nn.ReLU(), nn.AvgPool2d(2), *head(4, 4)),
    "pool_first": lambda: nn.Sequential(nn.AvgPool2d(2), conv(2, 4), nn.ReLU(), *head(4, 4)),
    "pool_twice": lambda: nn.Sequential(nn.AvgPool2d(2), nn.AvgPool2d(2), conv(2, 2), nn.ReLU(), *head(2, 2)),
    "global_pool": lambda: nn.Sequential(conv(2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *head(4, 1)),
    "global_pool_of_conv": lambda: nn.Sequential(conv(2, 4), nn.AdaptiveAvgPool2d(1), nn.ReLU(), *head(4, 1)),
    "max_pool_relu": lambda: nn.Sequential(conv(2, 3), nn.ReLU(), nn.MaxPool2d(2), *head(3, 4)),
    "max_pool_signed": lambda: nn.Sequential(conv(2, 3), nn.MaxPool2d(2), nn.ReLU(), *head(3, 4)),
    "max_pool_padded": lambda: nn.Sequential(conv(2, 2), nn.MaxPool2d(3, 2, 1), *head(2, 4)),
    "max_pool_ceil": lambda: nn.Sequential(conv(2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), *head(2, 4)),
    "max_pool_dilated": lambda: nn.Sequential(nn.MaxPool2d(2, 1, dilation=3), conv(2, 2), nn.ReLU(), *head(2, 5)),
    "max_pool_of_one": lambda: nn.Sequential(conv(2, 2), nn.ReLU(), nn.MaxPool2d(1, 2), *head(2, 4)),
    "max_then_average": lambda: nn.Sequential(conv(2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), *head(2, 2)),
    "linear_stem": lambda: nn.Sequential(
        conv(2, 3, padding=3), nn.AvgPool2d(2), conv(3, 4, padding=0), nn.AvgPool2d(2), nn.ReLU(), *head(4, 2)
    ),
    "mobile": lambda: nn.Sequential(conv(2, 4), conv(4, 4, groups=4), conv(4, 3, 1, padding=0), nn.ReLU(), *head(3, 8)),
    "residual": lambda: nn.Sequential(conv(2, 2), nn.ReLU(), Residual(2, 2, 1), Residual(2, 4, 2), *head(4, 4)),
    "residual_of_input": lambda: nn.Sequential(Residual(2, 2, 1), *head(2, 8)),
    "branches": lambda: nn.Sequential(conv(2, 3), nn.ReLU(), Branches(3), nn.ReLU(), *head(3, 8)),
    "branches_on_input": lambda: nn.Sequential(Branches(2), nn.ReLU(), *head(2, 8)),
    "used_twice": lambda: nn.Sequential(UsedTwice(), nn.ReLU(), *head(2, 4)),
    "relu_first": lambda: nn.Sequential(nn.ReLU(), conv(2, 2), nn.ReLU(), *head(2, 8)),
    "relu_last": lambda: nn.Sequential(*head(2, 8), nn.ReLU()),
}

UNEQUAL_WINDOWS: dict[str, Callable[[], nn.Module]] = {
    "border_not_counted": lambda: nn.Sequential(
        conv(2, 2), nn.ReLU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.ReLU(), *head(2, 4)
    ),
    "unequal_windows": lambda: nn.Sequential(conv(2, 2), nn.AdaptiveAvgPool2d(3), nn.ReLU(), *head(2, 3)),
    "enlarging_windows": lambda: nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(5), conv(2, 2), *head(2, 5)),
}
