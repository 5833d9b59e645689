"""Two public photographs, which scikit-learn ships: where the constants of all public maps come from.

No sample of anybody has a part in them, so they tell nothing, and both parties have the same.
"""

from __future__ import annotations

import functools

import torch
from sklearn.datasets import load_sample_images
from torch.nn import functional as F

from smule_crypten.types import InputShape

_SEED = 20240229
_LEAST_SIDE = 32


@functools.cache
def photographs() -> tuple[torch.Tensor, ...]:
    """china.jpg and flower.jpg, each (3, 427, 640) uint8."""
    images = load_sample_images().images
    return tuple(torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous() for image in images)


def is_of_images(input_shape: InputShape) -> bool:
    """Whether inputs are what a photograph can be made into: (1 or 3 channels, height, width)."""
    return len(input_shape) == 3 and input_shape[0] in (1, 3)


def in_channels(image_3HW: torch.Tensor, channels: int) -> torch.Tensor:
    """(channels, H, W): as it is, or the mean of its colours."""
    return image_3HW if channels == 3 else image_3HW.mean(dim=0, keepdim=True)


def crops(input_shape: InputShape, count: int) -> torch.Tensor:
    """Square parts of all sizes, (count, *input_shape) float32 in 0..1, always the same.

    Args:
        input_shape: as is_of_images asks.
    """
    channels, height, width = input_shape
    images = [in_channels(image.float() / 255, channels) for image in photographs()]
    generator = torch.Generator().manual_seed(_SEED)
    most = min(min(image.shape[1:]) for image in images)
    parts = []
    for number in range(count):
        image = images[number % len(images)]
        size_u, top_u, left_u = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        side = int(_LEAST_SIDE * (most / _LEAST_SIDE) ** size_u)
        top, left = (int(u * (length - side + 1)) for u, length in zip((top_u, left_u), image.shape[1:], strict=True))
        part = image[None, :, top : top + side, left : left + side]
        parts.append(F.interpolate(part, (height, width), mode="bilinear", antialias=True).clamp(0, 1))
    return torch.cat(parts)
