"""Arrays from elsewhere, of user code, of files or of a caller, as plain tensors of inputs (N, X) and labels (N).

What would be misread in silence is refused: masked values, sparse and quantized tensors, channels in the wrong place.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from smule_crypten.config.options import one_line
from smule_crypten.errors import DataError

Layout = Literal["NCHW", "NHWC"]

_MOST_CHANNELS = 4
"""As the last axis of images, so many or fewer are likelier channels than a width."""


def as_tensor(value: Any, what: str) -> torch.Tensor:
    """`value` as a dense tensor on the CPU, without gradient, independent of how it was made.

    Raises:
        DataError: it is no array of numbers, or one that holds more than numbers. The message begins with what.
    """
    if isinstance(value, torch.Tensor):
        return _plain(value, what)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(f"{what}: some values are masked, and would count as numbers; fill or remove them")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        if array.dtype.kind not in "buif":
            raise DataError(f"{what}: has type {array.dtype}; give an array of numbers")
        native = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
        return torch.from_numpy(native)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: is no array of numbers ({one_line(error)}); give a tensor or NumPy array") from error


def _plain(value: torch.Tensor, what: str) -> torch.Tensor:
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        raise DataError(f"{what}: is a sparse, quantized, nested or empty ('meta') tensor; give a dense one")
    plain = value.detach().as_subclass(torch.Tensor).cpu()
    # What was made in inference mode could not be learned from.
    return plain.clone() if plain.is_inference() else plain


def as_inputs(value: Any, what: str, layout: Layout | None = None) -> torch.Tensor:
    """Inputs as (N, X), images as (N, C, H, W), floating-point ones as float32; other types stay, for check_samples.

    Args:
        layout: order of the axes of images; None takes (N, C, H, W) where the shape does not speak against it.

    Raises:
        DataError: as as_tensor; or the shape speaks for (N, H, W, C), and layout does not say.
    """
    images = as_tensor(value, what)
    if images.is_floating_point():
        images = images.float()
    if images.dim() != 4:
        return images
    if layout == "NHWC":
        return images.permute(0, 3, 1, 2).contiguous()
    if layout is None and speaks_for_channels_last(tuple(images.shape)):
        _, channels, height, width = images.shape
        raise DataError(
            f"{what}: shape {tuple(images.shape)} would mean {channels} channels of {height}x{width}, if channels come "
            "before height and width; set data.options.layout=NHWC if they come last, layout=NCHW if it is meant so"
        )
    return images


def as_labels(value: Any, what: str) -> torch.Tensor:
    """Whole numbers as int64; other types stay, for check_samples.

    Raises:
        DataError: as as_tensor.
    """
    labels = as_tensor(value, what)
    is_whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    return labels.long() if is_whole else labels


def speaks_for_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether (N, a, b, c) rather is height a, width b and c channels than a channels of b x c.

    So it is where c may well be a number of channels and a may not, unless b x c is a square.
    """
    _, first, second, last = shape
    return last <= _MOST_CHANNELS < first and second != last
