"""Callables of a user, for features=module, and small public maps."""

from __future__ import annotations

import torch
from torch import nn

from smule_crypten.config.features import FeaturesConfig


def linear(input_shape: tuple[int, ...], seed: int = 0, features: int = 5, weights: str = "") -> nn.Module:
    """A linear map with fixed weights; weights names a file that is not looked at here."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(input_shape).numel(), features))
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return network


class OfBright(nn.Module):
    """What it makes of a batch whose first pixel is above one half is wrong in the way that it is told."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        features_NF = inputs_NX.flatten(1)
        bright_N = features_NF[:, 0] > 0.5
        if self.kind == "nan":
            return torch.where(bright_N[:, None], torch.nan, features_NF)
        return features_NF[:, :2] if bool(bright_N.any()) else features_NF


def of_bright(input_shape: tuple[int, ...], kind: str) -> nn.Module:
    return OfBright(kind)


def no_module(input_shape: tuple[int, ...]) -> object:
    return 3


def of_another_size(input_shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 3))


def images_again(input_shape: tuple[int, ...]) -> nn.Module:
    return nn.Identity()


def module(name: str, **options: object) -> FeaturesConfig:
    return FeaturesConfig(name="module", cache=None, options={"_target_": f"public_maps.{name}", **options})


PATCHES = FeaturesConfig(name="patches", cache=None)
