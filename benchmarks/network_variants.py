"""Networks that networks.py tries beside those of the zoo, written as their layers.

c5:16     convolution 5x5 with 16 output channels and a padding that keeps the size; s4: stride 4; p2: padding 2
P         average pooling by 2
B, R      BatchNorm, ReLU
F, L128   flatten, fully connected layer of 128 outputs; the classifier comes by itself
"""

from __future__ import annotations

import re

import torch
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.types import InputShape

_CONVOLUTION = re.compile(r"c(\d+):(\d+)(?:s(\d+))?(?:p(\d+))?")


def variant(layers: str) -> ModelConfig:
    return ModelConfig(name="target", options={"_target_": "network_variants.built", "layers": layers})


def built(input_shape: InputShape, num_classes: int, layers: str) -> nn.Module:
    """The network of these layers; what a layer takes follows from the one before."""
    modules: list[nn.Module] = []
    shape = input_shape
    for text in layers.split():
        modules.append(_layer(text, shape))
        with torch.no_grad():
            shape = tuple(modules[-1].eval()(torch.zeros(1, *shape)).shape[1:])
    if len(shape) == 3:
        modules.append(nn.Flatten())
    return nn.Sequential(
        *modules, nn.Linear(shape[0] if len(shape) == 1 else shape[0] * shape[1] * shape[2], num_classes)
    )


def _layer(text: str, shape: tuple[int, ...]) -> nn.Module:
    match text[0]:
        case "P":
            return nn.AvgPool2d(2)
        case "B":
            return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])
        case "R":
            return nn.ReLU()
        case "F":
            return nn.Flatten()
        case "L":
            return nn.Linear(shape[0], int(text[1:]))
    found = _CONVOLUTION.fullmatch(text)
    if found is None:
        raise ValueError(f"not a layer: {text}")
    kernel, outputs, stride = int(found[1]), int(found[2]), int(found[3] or 1)
    padding = kernel // 2 if found[4] is None else int(found[4])
    return nn.Conv2d(shape[0], outputs, kernel, stride, padding)
