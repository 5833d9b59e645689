"""Features without any training: how much an image looks like whitened patches of two public photographs.

After A. Coates, A. Ng and H. Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS
2011), with random patches in place of learned ones:

1. Each 6x6 patch of an image is brought to mean 0 and variance 1.
2. It is whitened, and compared with 400 whitened patches of the photographs: z.
3. ReLU(z - t) and ReLU(-z - t), averaged over the four quarters of the image: 400 * 2 * 4 = 3,200 features.

There is no constant feature: the layer that follows has a bias of its own.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.errors import ModelError
from smule_crypten.features.photographs import in_channels, is_of_images, photographs
from smule_crypten.types import InputShape

_SEED = 20240229
_SIDE = 6
_FILTERS = 400
_THRESHOLD = 0.5
_SAMPLED = 20_000
"""Patches of each photograph, by which the whitening is estimated."""
_RIDGE = 0.1
"""Added to the variances before whitening, which would blow up noise."""
_FLAT = (10 / 255) ** 2
"""Added to the variance of a patch, so that a plain sky stays plain."""
_AT_ONCE = 4
"""Images whose comparisons a processor's cache holds: four times as fast as 64, bit for bit the same."""
_STEP = 2.0**-12
"""To which the constants are rounded. They are computed in float64, with errors far below it, so that every machine
finds the same."""


class Patches(nn.Module):
    """Images (N, C, H, W) float32 in 0..1 -> (N, 3200); C is 1 or 3, H and W at least 7.

    Raises:
        ModelError: the inputs are no such images.
    """

    filters_KCHW: torch.Tensor
    offsets_K: torch.Tensor

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        if not is_of_images(input_shape) or min(input_shape[1:]) <= _SIDE:
            shape = "x".join(map(str, input_shape))
            raise ModelError(
                f"features=patches: samples of {shape} are no images of 1 or 3 channels and at least 7x7 pixels; "
                "resize them, or set features=none"
            )
        filters_KP, offsets_K = _constants(input_shape[0])
        self.register_buffer("filters_KCHW", filters_KP.float().view(_FILTERS, input_shape[0], _SIDE, _SIDE))
        self.register_buffer("offsets_K", offsets_K.float())

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        # A traced or compiled network has no number of slices.
        is_recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]
        if images_NCHW.device.type != "cpu" or is_recorded:
            return self._features(images_NCHW)
        return torch.cat([self._features(some_NCHW) for some_NCHW in torch.split(images_NCHW, _AT_ONCE)])

    def _features(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        num_pixels = self.filters_KCHW[0].numel()
        mean_filter = torch.full_like(self.filters_KCHW[:1], 1 / num_pixels)
        mean_N1HW = F.conv2d(images_NCHW, mean_filter)
        variance_N1HW = (F.conv2d(images_NCHW**2, mean_filter) - mean_N1HW**2).clamp(min=0)
        scale_N1HW = (variance_N1HW * (num_pixels / (num_pixels - 1)) + _FLAT).rsqrt()
        sums_1K11 = self.filters_KCHW.sum(dim=(1, 2, 3))[None, :, None, None]
        z_NKHW = (F.conv2d(images_NCHW, self.filters_KCHW) - mean_N1HW * sums_1K11) * scale_N1HW
        z_NKHW -= self.offsets_K[None, :, None, None]
        halves = [F.adaptive_avg_pool2d(F.relu(sign * z_NKHW - _THRESHOLD), 2).flatten(1) for sign in (1, -1)]
        return torch.cat(halves, dim=1)


def _constants(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Filters (400, channels * 36), whitening included, and offsets (400), rounded, in float64."""
    generator = torch.Generator().manual_seed(_SEED)
    sampled = []
    for image in photographs():
        pixels_1CHW = in_channels(image.double() / 255, channels)[None]
        patches = F.unfold(pixels_1CHW, _SIDE)[0].T
        sampled.append(patches[torch.randperm(len(patches), generator=generator)[:_SAMPLED]])
    patches_MP = torch.cat(sampled)
    patches_MP = patches_MP - patches_MP.mean(dim=1, keepdim=True)
    patches_MP = patches_MP / (patches_MP.var(dim=1, keepdim=True) + _FLAT).sqrt()
    mean_P = patches_MP.mean(dim=0)
    variances, directions = torch.linalg.eigh(torch.cov(patches_MP.T))
    whitening_PP = directions * (variances + _RIDGE).rsqrt() @ directions.T
    chosen = torch.randperm(len(patches_MP), generator=generator)[:_FILTERS]
    white_KP = F.normalize((patches_MP[chosen] - mean_P) @ whitening_PP, dim=1)
    filters_KP = _rounded(white_KP @ whitening_PP)
    return filters_KP, _rounded(filters_KP @ mean_P)


def _rounded(values: torch.Tensor) -> torch.Tensor:
    return (values / _STEP).round() * _STEP
