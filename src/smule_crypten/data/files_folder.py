"""Reading image files: of a data set, path/train/<class>/<file> and path/test/<class>/<file>, or of one folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from smule_crypten.data.images import LabelledImages, random_positions
from smule_crypten.errors import DataError
from smule_crypten.torchvision_compat import load_torchvision


class ImageSize(NamedTuple):
    height: int
    width: int


def read_image_folder(
    root: Path, split: str, size: ImageSize | None, limit: int | None
) -> tuple[LabelledImages, tuple[str, ...]]:
    """RGB images (N, 3, H, W) uint8 and class names. Sample ids number the files in order of class and name.

    Only the `limit` chosen files are decoded. size: what to resize to; None keeps the size of the first image, which
    all others must then have.

    Raises:
        DataError: a folder is missing or empty, a file is damaged or of another size.
    """
    folder = root / split
    try:
        listing = load_torchvision().datasets.ImageFolder(str(folder))
    except OSError as error:
        raise DataError(
            f"data set 'image_folder': cannot list {folder} ({error}); "
            "set data.path to a folder with train/<class>/ and test/<class>/"
        ) from error
    chosen = random_positions(len(listing.samples), limit)
    paths = [Path(listing.samples[position][0]) for position in chosen]
    labels_N = torch.tensor(listing.targets)[chosen]
    return LabelledImages(_decode(paths, size), labels_N, chosen), tuple(listing.classes)


def read_flat_folder(folder: Path, size: ImageSize) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The image files in folder, in order of their names, resized: RGB (N, 3, H, W) uint8, and the names.

    Raises:
        DataError: there are none, or one is damaged.
    """
    known = load_torchvision().datasets.folder.IMG_EXTENSIONS
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in known)
    if not paths:
        raise DataError(
            f"{folder} holds no image files ({', '.join(known)}); give a folder of images, without subfolders"
        )
    return _decode(paths, size), tuple(path.name for path in paths)


def _decode(paths: list[Path], size: ImageSize | None) -> torch.Tensor:
    """One thread on purpose: with images this small, threads wait for Python's lock and take longer."""
    height, width = size or _size_of(paths[0])
    images_NCHW = torch.empty((len(paths), 3, height, width), dtype=torch.uint8)
    pixels_NCHW = images_NCHW.numpy()
    for position, path in enumerate(paths):
        image = _open_rgb(path)
        if size is not None:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if image.size != (width, height):
            raise DataError(
                f"data set 'image_folder': {path} is {image.height}x{image.width}, {paths[0]} is {height}x{width}; "
                f"set data.options.image_size=[{height},{width}] to resize"
            )
        pixels_NCHW[position] = np.asarray(image).transpose(2, 0, 1)
    return images_NCHW


def _size_of(path: Path) -> ImageSize:
    image = _open_rgb(path)
    return ImageSize(image.height, image.width)


def _open_rgb(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot decode {path} ({error}); replace or remove it") from error
