"""Random crops and flips of a whole batch at once, and random choices among copies that were made so before."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.data.fetching import FetchedInputs
from smule_crypten.errors import ConfigError
from smule_crypten.types import InputShape

ALL = slice(None)


def require_images(config: AugmentationConfig, input_shape: InputShape) -> None:
    """Raises ConfigError where crop or flip is on and samples are no images (channels, height, width)."""
    if (config.crop > 0 or config.flip) and len(input_shape) != 3:
        raise ConfigError(
            f"training.augmentation: crop and flip are for images, the samples have shape {input_shape}; "
            "set training.augmentation.crop=0 and training.augmentation.flip=false"
        )


def drawn(
    inputs: torch.Tensor | FetchedInputs,
    copies_NKX: torch.Tensor | None,
    positions_B: torch.Tensor,
    config: AugmentationConfig,
    generator: torch.Generator,
    part: slice = ALL,
) -> torch.Tensor:
    """The samples at these positions as a batch trains on them: one of its copies each, or cropped and flipped.

    positions_B lies on the CPU. generator as in augment. part: which of the positions are wanted; the others are drawn
    for as well, so that a sample becomes the same in whichever part it is.
    """
    if copies_NKX is None:
        return augment(inputs[positions_B[part]], config, generator, part, len(positions_B))
    which_B = torch.randint(copies_NKX.shape[1], (len(positions_B),), generator=generator)
    return copies_NKX[positions_B[part].to(copies_NKX.device), which_B[part].to(copies_NKX.device)]


def augment(
    images_NCHW: torch.Tensor,
    config: AugmentationConfig,
    generator: torch.Generator,
    part: slice = ALL,
    size: int | None = None,
) -> torch.Tensor:
    """Crop and flip each image at random. With both off, the very same tensor comes back and nothing is drawn.

    generator is a CPU generator, so that a seed means the same on every device. part, size: which part the images are
    of a batch of this size; None for a batch of their own.

    Raises:
        ConfigError: as require_images.
    """
    require_images(config, tuple(images_NCHW.shape[1:]))
    if config.crop == 0 and not config.flip:
        return images_NCHW
    num_samples, device = len(images_NCHW) if size is None else size, images_NCHW.device
    offsets_2N = torch.randint(0, 2 * config.crop + 1, (2, num_samples), generator=generator)[:, part].to(device)
    if config.flip:
        flipped_N = torch.randint(0, 2, (num_samples,), generator=generator)[part].bool().to(device)
    else:
        flipped_N = torch.zeros(len(images_NCHW), dtype=torch.bool, device=device)
    return crop_and_flip(images_NCHW, config.crop, offsets_2N[0], offsets_2N[1], flipped_N)


def crop_and_flip(
    images_NCHW: torch.Tensor, padding: int, top_N: torch.Tensor, left_N: torch.Tensor, flipped_N: torch.Tensor
) -> torch.Tensor:
    """Pad with zeros, cut each image's H x W window at (top, left) and mirror it left to right where flipped.

    top_N and left_N are pixels in 0..2*padding; flipped_N is boolean.
    """
    num_samples, channels, height, width = images_NCHW.shape
    padded_NCHW = F.pad(images_NCHW, (padding,) * 4)
    padded_width = width + 2 * padding
    pixel_W = torch.arange(width, device=images_NCHW.device)
    rows_NH = top_N[:, None] + torch.arange(height, device=images_NCHW.device)
    columns_NW = left_N[:, None] + torch.where(flipped_N[:, None], width - 1 - pixel_W, pixel_W)
    # One gather over flattened planes does both: several times faster than cutting image by image, and faster than
    # indexing windows made by unfold and flipping them afterwards.
    source_NHW = rows_NH[:, :, None] * padded_width + columns_NW[:, None, :]
    source_NCP = source_NHW.view(num_samples, 1, height * width).expand(-1, channels, -1)
    return padded_NCHW.flatten(2).gather(2, source_NCP).view(images_NCHW.shape)
