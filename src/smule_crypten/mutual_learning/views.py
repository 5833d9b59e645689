"""Views of own samples, to be asked about in place of them: a function for each, and a row for it in VIEWS.

A view is not its sample: its answer belongs to the view alone (mutual_learning/replay.py). N images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from smule_crypten.config.exchange import ViewName
from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.training.augmentation import augment

_NOISE = 0.1
"""Standard deviation of the noise, as a part of a channel's range."""

View = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
"""(images, range of each channel (C, 1, 1), generator) -> a view of each image."""


class Views:
    """Makes views whose values stay in the range that each channel has in images_NCHW (normalised, at least one image).

    Everything follows from seed.
    """

    def __init__(self, name: ViewName, images_NCHW: torch.Tensor, seed: int) -> None:
        self._view = VIEWS[name]
        self._low_C11 = images_NCHW.amin((0, 2, 3)).view(-1, 1, 1)
        self._high_C11 = images_NCHW.amax((0, 2, 3)).view(-1, 1, 1)
        self._generator = torch.Generator().manual_seed(seed)

    def of(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """One view of each image; none of no image."""
        if len(images_NCHW) == 0:
            return images_NCHW
        views = self._view(images_NCHW, self._high_C11 - self._low_C11, self._generator)
        return views.clamp(self._low_C11, self._high_C11)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])


def _none(images_NCHW: torch.Tensor, range_C11: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The image itself."""
    return images_NCHW


def _noise(images_NCHW: torch.Tensor, range_C11: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise on every value."""
    return images_NCHW + _NOISE * range_C11 * torch.randn(images_NCHW.shape, generator=generator)


def _crop_flip(images_NCHW: torch.Tensor, range_C11: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A crop that is off by up to an eighth of the height, with zeros where the image ends, or its mirror image."""
    crop = max(1, images_NCHW.shape[2] // 8)
    return augment(images_NCHW, AugmentationConfig(crop=crop, flip=True), generator)


def _mixup(images_NCHW: torch.Tensor, range_C11: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """An image with a smaller part of another one, the part uniform in 0 to 1/2.

    H. Zhang, M. Cisse, Y. Dauphin, D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    part_N111 = torch.rand(len(images_NCHW), 1, 1, 1, generator=generator) / 2
    return torch.lerp(images_NCHW, _others(images_NCHW, generator), part_N111)


def _cutmix(images_NCHW: torch.Tensor, range_C11: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A box of another image at a random place, of up to half of the area before the border cuts it.

    S. Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.
    """
    count, _, height, width = images_NCHW.shape
    side_N1 = (torch.rand(count, 1, generator=generator) / 2).sqrt()
    inside = []
    for length in (height, width):
        centre_N1 = length * torch.rand(count, 1, generator=generator)
        pixel_L = torch.arange(length) + 0.5
        inside.append((pixel_L - centre_N1).abs() < length * side_N1 / 2)
    box_N1HW = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return torch.where(box_N1HW, _others(images_NCHW, generator), images_NCHW)


def _others(images_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same images, each at the place of another one: a random circle through all."""
    circle = torch.randperm(len(images_NCHW), generator=generator)
    others = torch.empty_like(circle)
    others[circle] = circle.roll(1)
    return images_NCHW[others]


VIEWS: dict[ViewName, View] = {
    "none": _none,
    "noise": _noise,
    "crop_flip": _crop_flip,
    "mixup": _mixup,
    "cutmix": _cutmix,
}
