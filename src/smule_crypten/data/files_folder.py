"""Reading folders of image files: of a data set, path/train/<class>/<file> and path/test/<class>/<file>, or of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from smule_crypten.data.files_labels import Labels, key_of
from smule_crypten.data.folder_listing import Identity, Remarks, list_classes, list_images, list_tree
from smule_crypten.data.image_file import SUFFIXES, ImageFile, ImageSize, read_image
from smule_crypten.data.names import listed, printable
from smule_crypten.data.samples import Samples, random_positions
from smule_crypten.errors import DataError

_DARK = 1 / 8
"""Grey of 16 bits that stays below this share of white mostly has 12 bits or fewer."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a data set.

    Attributes:
        depth: the bits a channel of its images.
        notes: what was counted, left out and changed.
        files: identifies all files of the split, whatever links lead to them.
    """

    images: Samples
    class_names: tuple[str, ...]
    depth: str
    notes: tuple[str, ...]
    files: frozenset[Identity]


def read_image_folder(
    root: Path,
    split: str,
    size: ImageSize | None,
    limit: int | None,
    channels: int = 3,
    class_names: tuple[str, ...] | None = None,
) -> Split:
    """Images (N, channels, H, W), uint8 or float32 in 0..1 (image_file.py).

    Sample ids number the files in order of class and name.

    Only the `limit` chosen files are decoded. size: what to resize to; None keeps the size of the first image, which
    all others must then have. class_names: as in folder_listing.py.

    Raises:
        DataError: a folder is missing or empty, a file is damaged, of another size or of another depth.
    """
    listing = list_classes(root / split, class_names)
    chosen = random_positions(len(listing.paths), limit)
    decoded = _decode([listing.paths[position] for position in chosen], size, channels, listing.remarks)
    counted = f"{len(listing.paths)} images in {len(set(listing.labels))} class folders"
    return Split(
        images=Samples(decoded.images_NCHW, torch.tensor(listing.labels)[chosen], chosen),
        class_names=listing.class_names,
        depth=decoded.first.depth,
        notes=tuple(f"{split}: {line}" for line in (counted, *listing.remarks.lines())),
        files=listing.files,
    )


def read_labelled_folder(
    root: Path, split: str, size: ImageSize | None, limit: int | None, channels: int, labels: Labels
) -> Split:
    """As read_image_folder, with the targets of a table of labels, at any depth below root/split.

    Sample ids number the files of which the table tells, in order of folder and name. Others are left out.

    Raises:
        DataError: as read_image_folder; or the table tells of files that are not there, or of none that is.
    """
    paths, remarks, files = list_tree(root / split)
    by_key = {key_of(path.relative_to(root).as_posix()): path for path in paths}
    gone = [key for key in labels.file.rows if key.split("/")[0] == split and key not in by_key]
    where = printable(str(labels.file.path))
    if gone:
        raise DataError(
            f"{where} tells of {len(gone)} image(s) of which there is no file in {printable(str(root))} "
            f"({listed(gone, most=3)}); names are paths from there, as {split}/0001.png"
        )
    keys = [key for key in by_key if key in labels.file.rows]
    if not keys:
        raise DataError(f"{where} tells of no image in {printable(str(root / split))}; write paths as {split}/0001.png")
    for key, path in by_key.items():
        if key not in labels.file.rows:
            remarks.add(f"images without a line in {printable(labels.file.path.name)}, left out", path)
    chosen = random_positions(len(keys), limit)
    chosen_keys = [keys[position] for position in chosen]
    decoded = _decode([by_key[key] for key in chosen_keys], size, channels, remarks)
    return Split(
        images=Samples(decoded.images_NCHW, labels.targets(chosen_keys), chosen),
        class_names=labels.names,
        depth=decoded.first.depth,
        notes=tuple(f"{split}: {line}" for line in (f"{len(keys)} images with labels", *remarks.lines())),
        files=files,
    )


@dataclass(frozen=True, eq=False)
class FlatFolder:
    """Images without labels, in order of the names of their files.

    Attributes:
        inputs: (N, channels, H, W), as in read_image_folder.
        names: (N) of the files.
        notes: what was left out and changed.
        is_in_units: whether values have units of their own, and are not in 0..1.
    """

    inputs: torch.Tensor
    names: tuple[str, ...]
    notes: tuple[str, ...]
    is_in_units: bool


def read_flat_folder(folder: Path, size: ImageSize, channels: int) -> FlatFolder:
    """The image files in folder itself, resized.

    Raises:
        DataError: there are none, or one is damaged or of another depth.
    """
    paths, remarks = list_images(folder)
    if not paths:
        raise DataError(
            f"{folder} holds no image files ({', '.join(SUFFIXES)}); give a folder of images, without subfolders"
        )
    decoded = _decode(paths, size, channels, remarks)
    names = tuple(printable(path.name) for path in paths)
    return FlatFolder(decoded.images_NCHW, names, remarks.lines(), decoded.first.is_in_units)


class _Decoded(NamedTuple):
    """first: the file with which all others were compared."""

    images_NCHW: torch.Tensor
    first: ImageFile


def _decode(paths: Sequence[Path], size: ImageSize | None, channels: int, remarks: Remarks) -> _Decoded:
    """One thread on purpose: with images this small, threads wait for Python's lock and take longer."""
    first = read_image(paths[0], channels, size)
    pixels_NCHW = np.empty((len(paths), *first.pixels_CHW.shape), dtype=first.pixels_CHW.dtype)
    for position, path in enumerate(paths):
        image = first if position == 0 else read_image(path, channels, size)
        _compare(path, image, paths[0], first)
        for remark in image.remarks:
            remarks.add(f"images {remark}", path)
        pixels_NCHW[position] = image.pixels_CHW
    if first.depth == "16 bits" and (brightest := float(pixels_NCHW.max())) < _DARK:
        remarks.say(f"images of 16 bits with numbers up to {brightest * 65535:.0f} only, so fit data.mean and data.std")
    if first.is_in_units:
        low, high = float(pixels_NCHW.min()), float(pixels_NCHW.max())
        remarks.say(f"{first.depth}, from {low:g} to {high:g}, so fit data.mean and data.std")
    return _Decoded(torch.from_numpy(pixels_NCHW), first)


def _compare(path: Path, image: ImageFile, first_path: Path, first: ImageFile) -> None:
    if image.depth != first.depth:
        raise DataError(
            f"{printable(str(path))} has {image.depth}, {printable(str(first_path))} has "
            f"{first.depth}; convert them to one depth"
        )
    (_, height, width), (_, first_height, first_width) = image.pixels_CHW.shape, first.pixels_CHW.shape
    if (height, width) != (first_height, first_width):
        raise DataError(
            f"{printable(str(path))} is {height}x{width}, {printable(str(first_path))} is "
            f"{first_height}x{first_width}; set data.options.image_size=[{first_height},{first_width}] to resize"
        )
