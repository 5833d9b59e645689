"""Small networks that are cheap on secret shares: average pooling before ReLU, so that few values meet a ReLU.

zoo.py gives each one only samples of a rank that it takes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from smule_crypten.errors import ModelError
from smule_crypten.models.architecture import num_elements
from smule_crypten.types import InputShape

_KERNEL_1D = 5
"""Steps of a series that a convolution sees."""
_STEM_PADDING = 3
"""Pixels around the image: 1 for the first convolution, and 1 for the second one, which counts in pooled pixels."""


def mlp(input_shape: InputShape, num_classes: int, hidden: Sequence[int]) -> nn.Module:
    """Fully connected layers of these widths, a ReLU after each, and a linear classifier; for samples of any rank."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if len(input_shape) > 1:
        layers["flatten"] = nn.Flatten()
    features = num_elements(input_shape)
    for number, next_features in enumerate(hidden, start=1):
        layers[f"linear{number}"] = nn.Linear(features, next_features)
        layers[f"relu{number}"] = nn.ReLU()
        features = next_features
    layers["classifier"] = nn.Linear(features, num_classes)
    return nn.Sequential(layers)


def lenet(input_shape: InputShape, num_classes: int) -> nn.Module:
    """LeNet-5 with padded convolutions, average pooling and ReLU.

    Raises:
        ModelError: height or width below 4.
    """
    channels, height, width = input_shape
    _require_size(input_shape, poolings=2, remedy="use larger images (data.options.image_size) or the network mlp")
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, kernel_size=5, padding=2),
            pool1=nn.AvgPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, kernel_size=5, padding=2),
            pool2=nn.AvgPool2d(2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            linear3=nn.Linear(16 * (height // 4) * (width // 4), 120),
            relu3=nn.ReLU(),
            linear4=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            classifier=nn.Linear(84, num_classes),
        )
    )


def convnet(input_shape: InputShape, num_classes: int, channels: Sequence[int]) -> nn.Module:
    """[conv 3x3, average pool 2, ReLU] once for each entry of channels, then a linear classifier.

    Raises:
        ModelError: height or width below 2 to the power of the number of poolings.
    """
    return _pooled_convnet(input_shape, num_classes, channels, has_linear_stem=False)


def linear_stem_convnet(input_shape: InputShape, num_classes: int, channels: Sequence[int]) -> nn.Module:
    """As convnet, without the first ReLU: [conv 3x3, average pool 2] twice is one linear map of the image.

    All padding is that of the image, so that the two convolutions are one at the border, too (composition.py).

    Raises:
        ModelError: height or width below 2 to the power of the number of poolings.
    """
    return _pooled_convnet(input_shape, num_classes, channels, has_linear_stem=True)


def _pooled_convnet(
    input_shape: InputShape, num_classes: int, channels: Sequence[int], *, has_linear_stem: bool
) -> nn.Module:
    """has_linear_stem: without a ReLU behind the first convolution, and all padding of the first two on the image."""
    in_channels, height, width = input_shape
    _require_size(
        input_shape,
        poolings=len(channels),
        remedy="shorten options.channels, use larger images (data.options.image_size) or the network mlp",
    )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, out_channels in enumerate(channels, start=1):
        padding = {1: _STEM_PADDING, 2: 0}.get(number, 1) if has_linear_stem else 1
        layers[f"conv{number}"] = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=padding)
        layers[f"pool{number}"] = nn.AvgPool2d(2)
        if number > 1 or not has_linear_stem:
            layers[f"relu{number}"] = nn.ReLU()
        in_channels, height, width = out_channels, height // 2, width // 2
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(in_channels * height * width, num_classes)
    return nn.Sequential(layers)


def strided_convnet(input_shape: InputShape, num_classes: int, channels: Sequence[int]) -> nn.Module:
    """A convolution 8x8 with stride 4, then [conv 3x3, average pool 2] once an entry; each with BatchNorm and ReLU.

    A ReLU sees a sixteenth of the pixels at most, so that there are few of them; BatchNorm is folded into weights and
    costs nothing on shares. What is a single pixel wide or high is not pooled further.

    Raises:
        ModelError: height or width below 4.
    """
    in_channels, height, width = input_shape
    _require_size(input_shape, poolings=2, remedy="use larger images (data.options.image_size) or the network mlp")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, out_channels in enumerate(channels, start=1):
        if number == 1:
            layers["conv1"] = nn.Conv2d(in_channels, out_channels, kernel_size=8, stride=4, padding=2)
            height, width = height // 4, width // 4
        else:
            layers[f"conv{number}"] = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        if number > 1 and min(height, width) > 1:
            layers[f"pool{number}"] = nn.AvgPool2d(2)
            height, width = height // 2, width // 2
        layers[f"bn{number}"] = nn.BatchNorm2d(out_channels)
        layers[f"relu{number}"] = nn.ReLU()
        in_channels = out_channels
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(in_channels * height * width, num_classes)
    return nn.Sequential(layers)


def convnet1d(input_shape: InputShape, num_classes: int, channels: Sequence[int]) -> nn.Module:
    """[conv over 5 steps, BatchNorm, average pool 2, ReLU] once for each entry of channels, the mean over time, linear.

    Raises:
        ModelError: fewer steps than 2 to the power of the number of poolings.
    """
    in_channels, steps = input_shape
    least = 2 ** len(channels)
    if steps < least:
        raise ModelError(
            f"series of {steps} steps are too short for {len(channels)} poolings by 2, {least} is the least; shorten "
            "options.channels or use the network mlp"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, out_channels in enumerate(channels, start=1):
        padding = _KERNEL_1D // 2
        layers[f"conv{number}"] = nn.Conv1d(in_channels, out_channels, _KERNEL_1D, padding=padding, bias=False)
        layers[f"bn{number}"] = nn.BatchNorm1d(out_channels)
        layers[f"pool{number}"] = nn.AvgPool1d(2)
        layers[f"relu{number}"] = nn.ReLU()
        in_channels = out_channels
    layers["mean"] = nn.AdaptiveAvgPool1d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(in_channels, num_classes)
    return nn.Sequential(layers)


def _require_size(input_shape: InputShape, poolings: int, remedy: str) -> None:
    _, height, width = input_shape
    least = 2**poolings
    if min(height, width) < least:
        raise ModelError(
            f"images of {height}x{width} are too small for {poolings} poolings by 2, "
            f"{least}x{least} is the least; {remedy}"
        )
