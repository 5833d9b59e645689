"""Networks as a user might bring them with party_a/model=target, each wrong in one way."""

from __future__ import annotations

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


def broken(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    raise ZeroDivisionError("a bug\nof two lines")


def no_network(input_shape: tuple[int, int, int], num_classes: int) -> str:
    return "small"
