"""What torchvision's networks and the trunk have in common: scaling images, and doing without the classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.errors import ModelError
from smule_crypten.types import InputShape


class OfImages(nn.Module):
    """A network of colour images, applied to images (N, C, H, W) float32 in 0..1 of another size; C is 1 or 3.

    Args:
        size: to which they are scaled, height and width; None to leave them.
        mean, std: constants of the network's own normalization, one a channel.
    """

    mean_1C11: torch.Tensor
    std_1C11: torch.Tensor

    def __init__(self, network: nn.Module, size: int | None, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.register_buffer("mean_1C11", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std_1C11", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if self.size is not None and images_NCHW.shape[2:] != (self.size, self.size):
            images_NCHW = F.interpolate(images_NCHW, (self.size, self.size), mode="bilinear", antialias=True)
        # Grey images become three equal channels here.
        features_NF: torch.Tensor = self.network((images_NCHW - self.mean_1C11) / self.std_1C11)
        return features_NF


def last_linear(network: nn.Module, what: str) -> str:
    """The name of the last linear layer, which classifies.

    Raises:
        ModelError: there is none.
    """
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ModelError(f"{what} has no linear layer as its classifier, before which features could be taken")
    return names[-1]


def require_images(input_shape: InputShape, what: str) -> None:
    """Raises ModelError where inputs are not (1 or 3 channels, height, width)."""
    if len(input_shape) != 3 or input_shape[0] not in (1, 3):
        shape = "x".join(map(str, input_shape))
        raise ModelError(f"{what} takes images of 1 or 3 channels, not samples of {shape}; set features=none")
