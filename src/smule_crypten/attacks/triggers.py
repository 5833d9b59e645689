"""Triggers: what an adversary adds to an image so that a poisoned network answers as it wishes.

- patch: a square of the brightest value in the lower right corner (T. Gu, B. Dolan-Gavitt, S. Garg, "BadNets", 2017). A
  pattern of single pixels would be lost in networks that average neighbouring pixels before their first activation.
- blended: a random pattern over the whole image, mixed in (X. Chen et al., "Targeted Backdoor Attacks on Deep Learning
  Systems Using Data Poisoning", 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from smule_crypten.errors import ConfigError

TriggerName = Literal["patch", "blended"]


@dataclass(frozen=True)
class Trigger:
    """pattern_CHW is mixed into an image with the weights opacity_CHW, 0 to 1."""

    pattern_CHW: torch.Tensor
    opacity_CHW: torch.Tensor

    def stamp(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return images_NCHW * (1 - self.opacity_CHW) + self.pattern_CHW * self.opacity_CHW


def make_trigger(name: TriggerName, images_NCHW: torch.Tensor, opacity: float, seed: int) -> Trigger:
    """A trigger for images like these, on the scale of their values.

    A patch is an eighth of the image high, at least two pixels.

    Raises:
        ConfigError: the samples are no images (N, channels, height, width).
    """
    if images_NCHW.dim() != 4:
        raise ConfigError(
            f"attack: triggers are for images, the samples have shape {tuple(images_NCHW.shape[1:])}; "
            "set attack=label_flip, attack=answers or attack=none"
        )
    low, high = images_NCHW.min(), images_NCHW.max()
    shape = images_NCHW.shape[1:]
    if name == "blended":
        unit_CHW = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
        return Trigger(low + (high - low) * unit_CHW, torch.full(shape, opacity))
    _, height, width = shape
    size = max(2, height // 8)
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width).view(1, -1)
    inside_HW = (rows >= height - size) & (columns >= width - size)
    return Trigger(high.expand(shape), (opacity * inside_HW).expand(shape))
