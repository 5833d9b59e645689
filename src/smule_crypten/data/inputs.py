"""Images without labels, to predict: an .npz file, or a folder of image files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.data.files_folder import ImageSize, read_flat_folder
from smule_crypten.errors import DataError
from smule_crypten.options import one_line

_ARRAY = "images"


@dataclass(frozen=True, eq=False)
class Inputs:
    """images_NCHW is uint8 (0 to 255) or float32. names (N) are file names, where there are any."""

    images_NCHW: torch.Tensor
    names: tuple[str, ...] = ()


def read_inputs(path: Path, input_shape: tuple[int, int, int], *, trained_on: torch.dtype) -> Inputs:
    """Read images of this shape (C, H, W). Those of a folder are resized to it.

    Args:
        path: an .npz file with one array (or one called "images"), NCHW, uint8 or floating point; or a folder of image
            files, read in order of their names, as RGB.
        trained_on: type of the images that the network was trained on. If they were uint8, floating-point ones must
            lie in 0..1.

    Raises:
        DataError: the file or folder is missing, damaged or empty, or holds images that the network cannot take.
    """
    channels, height, width = input_shape
    if path.is_dir():
        if channels != 3:
            raise DataError(
                f"{path}: files are read as RGB, the network takes {channels} channel(s); give an .npz file"
            )
        images_NCHW, names = read_flat_folder(path, ImageSize(height, width))
        inputs = Inputs(images_NCHW, names)
    else:
        inputs = Inputs(_from_array(_read_npz(path), path))
    _check(inputs.images_NCHW, path, input_shape, trained_on)
    return inputs


def _read_npz(path: Path) -> npt.NDArray[np.generic]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return _only_array(archive, path)
    except FileNotFoundError:
        raise DataError(f"cannot read {path}: no such file; give an .npz file or a folder of images") from None
    except (OSError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read {path} ({one_line(error)}); give an .npz file without pickles") from error


def _only_array(archive: Mapping[str, npt.NDArray[np.generic]], path: Path) -> npt.NDArray[np.generic]:
    names = list(archive)
    if _ARRAY not in names and len(names) != 1:
        raise DataError(f"{path} holds the arrays {', '.join(names) or '(none)'}; call that of the images {_ARRAY!r}")
    return archive[_ARRAY if _ARRAY in names else names[0]]


def _from_array(images: npt.NDArray[np.generic], path: Path) -> torch.Tensor:
    if images.dtype == np.uint8:
        return torch.from_numpy(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{path}: images have type {images.dtype}; save them as uint8 or float32")
    return torch.from_numpy(images.astype(np.float32))


def _check(images_NCHW: torch.Tensor, path: Path, input_shape: tuple[int, int, int], trained_on: torch.dtype) -> None:
    shape = tuple(images_NCHW.shape)
    if len(shape) != 4 or shape[1:] != input_shape:
        expected = ", ".join(map(str, input_shape))
        raise DataError(
            f"{path}: images have shape {shape}, the network takes (N, {expected}); resize or transpose them"
        )
    if shape[0] == 0:
        raise DataError(f"{path} holds no images; leave it out to answer only")
    if not images_NCHW.is_floating_point():
        return
    finite_N = torch.isfinite(images_NCHW).flatten(1).all(1)
    if not bool(finite_N.all()):
        first = int((~finite_N).nonzero()[0])
        raise DataError(f"{path}: image {first} holds NaN or infinite values; repair or remove it")
    if trained_on == torch.uint8 and not (float(images_NCHW.min()) >= 0 and float(images_NCHW.max()) <= 1):
        raise DataError(
            f"{path}: values lie outside 0..1, to which the training images were scaled; save 0..255 as uint8"
        )
