"""Networks as a user might bring them with party_a/model=target: odd ones, and others wrong in one way."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn


def fitting(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, num_classes))


def one_class_too_many(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return fitting(input_shape, num_classes + 1)


def for_larger_images(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return fitting((3, 32, 32), num_classes)


def with_softmax(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return nn.Sequential(fitting(input_shape, num_classes), nn.Softmax(dim=1))


def hooked(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    model = fitting(input_shape, num_classes)
    model.register_forward_pre_hook(lambda module, inputs: ((inputs[0] - 0.5) / 0.25,))
    return model


def half(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return fitting(input_shape, num_classes).half()


def wrapped(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return nn.DataParallel(fitting(input_shape, num_classes))


def broken(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    raise ZeroDivisionError("a bug\nof two lines")


def no_network(input_shape: tuple[int, int, int], num_classes: int) -> str:
    return "small"


def finished(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """With BatchNorm, whose statistics training would change although its parameters are frozen."""
    channels, height, width = input_shape
    layers = nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4 * (height - 2) * (width - 2), num_classes)).requires_grad_(False)


class WithUnusedHead(nn.Module):
    """Its state holds a number of NumPy, and its second head is read by nobody."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(features, 8), nn.Linear(8, num_classes)
        self.norm, self.auxiliary = nn.BatchNorm1d(8), nn.Linear(8, num_classes)

    def get_extra_state(self) -> dict[str, object]:
        return {"version": np.int64(3)}

    def set_extra_state(self, state: dict[str, object]) -> None:
        if state["version"] != 3:
            raise ValueError("another version")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.hidden(x.flatten(1)))
        _ = self.auxiliary(y).sigmoid()
        logits: torch.Tensor = self.head(y)
        return logits


def with_unused_head(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return WithUnusedHead(math.prod(input_shape), num_classes)
