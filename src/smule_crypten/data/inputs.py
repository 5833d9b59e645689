"""Samples without labels, to predict: an .npz file, or a folder of image files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from smule_crypten.data.arrays import Layout, as_tensor
from smule_crypten.data.files_folder import FlatFolder, read_flat_folder
from smule_crypten.data.files_npz import Array, read_npz
from smule_crypten.data.image_file import SUFFIXES, ImageSize
from smule_crypten.data.names import listed
from smule_crypten.data.origin import Origin
from smule_crypten.errors import DataError
from smule_crypten.types import InputShape

_ARRAYS = ("inputs", "images")


_CHANNELS_OF_FILES = (1, 3)
_AXES_OF_SERIES, _AXES_OF_IMAGES = 2, 3
_FAR_BEYOND = 10
"""So many times the largest training value is another scale."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples to be asked about.

    Attributes:
        inputs: (N, X), uint8 or float32.
        names: (N) names of files, where there are any.
        notes: what of a folder was left out and changed.
    """

    inputs: torch.Tensor
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Least and greatest value of floating-point training samples."""

    low: float
    high: float

    @classmethod
    def of(cls, inputs_NX: torch.Tensor) -> Scale | None:
        """That of training samples; None for uint8, whose scale is known."""
        if not inputs_NX.is_floating_point():
            return None
        return cls(float(inputs_NX.min()), float(inputs_NX.max()))

    @classmethod
    def before(cls, origin: Origin) -> Scale | None:
        """As of, of the training inputs that features were made of."""
        return cls(origin.low, origin.high) if origin.dtype.is_floating_point else None

    @property
    def is_unit(self) -> bool:
        """Whether images of 8 and 16 bits, which are scaled to 0..1, are on the same scale."""
        return self.low >= 0 and self.high <= 1


def read_inputs(
    path: Path,
    input_shape: InputShape,
    *,
    trained_on: torch.dtype,
    scale: Scale | None = None,
    layout: Layout | None = None,
) -> Inputs:
    """Read samples of this shape, X. Images of a folder are resized to it.

    Args:
        path: an .npz file with one array (or one called "inputs" or "images"), (N, X), uint8 or floating point; series
            of one channel may be (N, time). For images also a folder of image files, read in order of their names, as
            RGB or grey (data/image_file.py).
        trained_on: type of the samples that the network was trained on. If they were uint8, floating-point ones must
            lie in 0..1.
        scale: of floating-point training samples; those on another one are refused. None where it is not known.
        layout: of an array of images; NHWC takes channels last where the shape fits.

    Raises:
        DataError: the file or folder is missing, damaged or empty, or holds what the network cannot take.
    """
    is_scaled = False
    if path.is_dir():
        folder = _read_folder(path, input_shape)
        inputs, is_scaled = Inputs(folder.inputs, folder.names, folder.notes), not folder.is_in_units
    elif path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is one image; put it into a folder, and give that")
    else:
        inputs = Inputs(_from_array(_read_npz(path), path, input_shape, layout))
    _check(inputs.inputs, path, input_shape, trained_on)
    if scale is not None:
        _check_scale(inputs.inputs, path, scale, is_scaled=is_scaled or inputs.inputs.dtype == torch.uint8)
    return inputs


def _read_folder(path: Path, input_shape: InputShape) -> FlatFolder:
    if len(input_shape) != _AXES_OF_IMAGES:
        expected = ", ".join(map(str, input_shape))
        raise DataError(f"{path} is a folder, the network takes (N, {expected}), no images; give an .npz file")
    channels, height, width = input_shape
    if channels not in _CHANNELS_OF_FILES:
        raise DataError(
            f"{path}: files are read as RGB or grey, the network takes {channels} channels; give an .npz file"
        )
    return read_flat_folder(path, ImageSize(height, width), channels)


def _read_npz(path: Path) -> Array:
    def choose(names: list[str]) -> Sequence[str]:
        called = [name for name in _ARRAYS if name in names] or names
        if len(called) != 1:
            wanted = " or ".join(map(repr, _ARRAYS))
            raise DataError(f"{path} holds the arrays {listed(names)}; call the one of the samples {wanted}")
        return called

    (array,) = read_npz(path, choose).values()
    return array


def _from_array(inputs: Array, path: Path, input_shape: InputShape, layout: Layout | None) -> torch.Tensor:
    if inputs.dtype != "uint8" and inputs.dtype.kind != "f":
        raise DataError(f"{path}: the array has type {inputs.dtype}; save it as uint8 or float32")
    read = as_tensor(inputs, f"{path}: the array")
    read = read.float() if read.is_floating_point() else read
    if len(input_shape) == _AXES_OF_SERIES and input_shape[0] == 1 and tuple(read.shape[1:]) == input_shape[1:]:
        return read.unsqueeze(1)
    if len(input_shape) != _AXES_OF_IMAGES or tuple(read.shape[1:]) != (*input_shape[1:], input_shape[0]):
        return read
    if layout == "NHWC":
        return read.permute(0, 3, 1, 2).contiguous()
    if tuple(read.shape[1:]) == input_shape:
        return read
    raise DataError(
        f"{path}: images have shape {tuple(read.shape)}, the network takes (N, {', '.join(map(str, input_shape))}); "
        "resize or transpose them, or set data.options.layout=NHWC if their channels come last"
    )


def _check(inputs_NX: torch.Tensor, path: Path, input_shape: InputShape, trained_on: torch.dtype) -> None:
    shape = tuple(inputs_NX.shape)
    if len(shape) != 1 + len(input_shape) or shape[1:] != input_shape:
        expected = ", ".join(map(str, input_shape))
        remedy = {1: "give the features of the training, in their order", 2: "cut or resample them"}
        raise DataError(
            f"{path}: samples have shape {shape}, the network takes (N, {expected}); "
            f"{remedy.get(len(input_shape), 'resize or transpose them')}"
        )
    if shape[0] == 0:
        raise DataError(f"{path} holds no samples; leave it out to answer only")
    if not inputs_NX.is_floating_point():
        return
    finite_N = torch.isfinite(inputs_NX).flatten(1).all(1)
    if not bool(finite_N.all()):
        first = int((~finite_N).nonzero()[0])
        raise DataError(f"{path}: sample {first} holds NaN or infinite values; repair or remove it")
    if trained_on == torch.uint8 and not (float(inputs_NX.min()) >= 0 and float(inputs_NX.max()) <= 1):
        raise DataError(
            f"{path}: values lie outside 0..1, to which the training samples were scaled; save 0..255 as uint8"
        )


def _check_scale(inputs_NX: torch.Tensor, path: Path, scale: Scale, *, is_scaled: bool) -> None:
    """Values on another scale than the training samples would give confident nonsense.

    is_scaled: whether they were, or will be, scaled to 0..1.
    """
    span = f"the training samples have floating-point values from {scale.low:g} to {scale.high:g}"
    if not scale.is_unit and is_scaled:
        raise DataError(f"{path}: images of 8 and 16 bits are scaled to 0..1, {span}; give an .npz file of such values")
    largest = max(-scale.low, scale.high)
    found = float(inputs_NX.abs().max())
    if inputs_NX.is_floating_point() and found > _FAR_BEYOND * largest > 0:
        raise DataError(f"{path}: values go up to {found:g}, {span}; scale them alike")
