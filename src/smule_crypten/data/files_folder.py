"""Reading folders of image files: of a data set, path/train/<class>/<file> and path/test/<class>/<file>, or of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from smule_crypten.data.files_labels import Labels, key_of
from smule_crypten.data.lazy_samples import IN_MEMORY, Keeping, LazySamples
from smule_crypten.data.samples import Samples, random_positions
from smule_crypten.errors import DataError
from smule_crypten.images.folder_listing import Identity, ImagePaths, Remarks, list_classes, list_images, list_tree
from smule_crypten.images.image_file import SUFFIXES, ImageFile, ImageSize, read_image, require_alike
from smule_crypten.names import listed, printable
from smule_crypten.sources.image_files import ImageFiles
from smule_crypten.sources.lazy_inputs import LazyInputs

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
    keeping: Keeping = IN_MEMORY,
) -> Split:
    """Images (N, channels, H, W), uint8 or float32 in 0..1 (image_file.py).

    Sample ids number the files in order of class and name.

    Only the `limit` chosen files are decoded, or, as keeping says, only the first one of them. size: what to resize
    to; None keeps the size of the first image, which all others must then have. class_names: as in folder_listing.py.

    Raises:
        DataError: a folder is missing or empty, a file is damaged, of another size or of another depth.
    """
    listing = list_classes(root / split, class_names)
    chosen = random_positions(len(listing.paths), limit)
    images, depth = _samples(listing, chosen, torch.tensor(listing.labels)[chosen], chosen, size, channels, keeping)
    counted = f"{len(listing.paths)} images in {len(set(listing.labels))} class folders"
    return Split(
        images=images,
        class_names=listing.class_names,
        depth=depth,
        notes=tuple(f"{split}: {line}" for line in (counted, *listing.remarks.lines())),
        files=listing.files,
    )


def read_labelled_folder(
    root: Path,
    split: str,
    size: ImageSize | None,
    limit: int | None,
    channels: int,
    labels: Labels,
    keeping: Keeping = IN_MEMORY,
) -> Split:
    """As read_image_folder, with the targets of a table of labels, at any depth below root/split.

    Sample ids number the files of which the table tells, in order of folder and name. Others are left out.

    Raises:
        DataError: as read_image_folder; or the table tells of files that are not there, or of none that is.
    """
    found = list_tree(root / split)
    by_key = {key_of(f"{split}{found.paths.name(number)}"): number for number in range(len(found.paths))}
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
    for key, number in by_key.items():
        if key not in labels.file.rows:
            rule = f"images without a line in {printable(labels.file.path.name)}, left out"
            found.remarks.add(rule, found.paths[number].name)
    chosen = random_positions(len(keys), limit)
    chosen_keys = [keys[position] for position in chosen]
    places = torch.tensor([by_key[key] for key in chosen_keys])
    images, depth = _samples(found, places, labels.targets(chosen_keys), chosen, size, channels, keeping)
    return Split(
        images=images,
        class_names=labels.names,
        depth=depth,
        notes=tuple(f"{split}: {line}" for line in (f"{len(keys)} images with labels", *found.remarks.lines())),
        files=found.files,
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


def _samples(
    found: ImagePaths,
    places: torch.Tensor,
    targets: torch.Tensor,
    sample_ids: torch.Tensor,
    size: ImageSize | None,
    channels: int,
    keeping: Keeping,
) -> tuple[Samples, str]:
    """The files at these places, decoded or to be decoded, and their depth."""
    paths = found.paths.chosen(places.numpy())
    files = ImageFiles(
        paths=paths,
        stamps_N2=found.stamps_N2[places.numpy()],
        first=read_image(paths[0], channels, size),
        channels=channels,
        size=size,
        workers=keeping.workers,
    )
    if not keeping.is_in_memory(files.num_bytes):
        return LazySamples(LazyInputs(files, torch.arange(len(paths))), targets, sample_ids), files.first.depth
    decoded = _decode(paths, size, channels, found.remarks)
    return Samples(decoded.images_NCHW, targets, sample_ids), decoded.first.depth


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
        require_alike(path, image, paths[0], first)
        for remark in image.remarks:
            remarks.add(f"images {remark}", path.name)
        pixels_NCHW[position] = image.pixels_CHW
    if first.depth == "16 bits" and (brightest := float(pixels_NCHW.max())) < _DARK:
        remarks.say(f"images of 16 bits with numbers up to {brightest * 65535:.0f} only, so fit data.mean and data.std")
    if first.is_in_units:
        low, high = float(pixels_NCHW.min()), float(pixels_NCHW.max())
        remarks.say(f"{first.depth}, from {low:g} to {high:g}, so fit data.mean and data.std")
    return _Decoded(torch.from_numpy(pixels_NCHW), first)
