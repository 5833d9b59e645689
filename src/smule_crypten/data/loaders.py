"""One function a kind of data set: DataConfig in, DataBundle out. datasets.py holds the table and the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import DataConfig, Section
from smule_crypten.data.arrays import Layout, as_inputs, as_labels
from smule_crypten.data.bundled_sets import BundledOptions
from smule_crypten.data.files_folder import Split, read_image_folder
from smule_crypten.data.files_idx import read_idx_folder
from smule_crypten.data.files_npz import read_npz
from smule_crypten.data.files_table import TableOptions
from smule_crypten.data.image_file import ImageSize
from smule_crypten.data.names import composed, listed
from smule_crypten.data.own_data import count_classes, own_bundle
from smule_crypten.data.samples import DataBundle, Samples, numbered_classes
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.torchvision_compat import load_torchvision

_NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class _NameOptions(Section):
    """What the classes are called, in order of their numbers."""

    class_names: tuple[str, ...] | None = Field(default=None, strict=False)
    """What the classes are called, in order of their numbers, which a peer compares. In a folder of images a class that
    is named needs no folder; null takes all folders."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = self.class_names
        if names is not None and (len(names) < 2 or len(set(names)) != len(names) or not all(names)):
            raise ValueError(f"class_names: give two or more different names, in order of the numbers, got {names}")
        return self


class _ClassOptions(_NameOptions):
    """For files that hold class numbers only: how many classes there are, or what they are called, by number."""

    num_classes: int | None = Field(default=None, ge=2)
    """How many classes there are; null for the highest training label + 1."""

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        names = self.class_names
        if names is not None and self.num_classes not in (None, len(names)):
            raise ValueError(f"num_classes={self.num_classes}, but class_names has {len(names)}; leave num_classes out")
        return self

    def names(self, labels_N: torch.Tensor, dataset: str) -> tuple[str, ...]:
        """The given names, or numbers up to the highest one."""
        return self.class_names or numbered_classes(self.num_classes or count_classes(labels_N, dataset))


class _LayoutOptions(Section):
    layout: Layout | None = None
    """Order of the axes of the images; null for NCHW, where a shape that speaks for NHWC is refused."""


class _NpzOptions(_ClassOptions, _LayoutOptions):
    pass


class _FolderOptions(_NameOptions):
    image_size: tuple[int, int] | None = Field(default=None, strict=False)
    """[height, width] to resize to; null needs images that all have one size."""
    channels: Literal[1, 3] = 3
    """3 reads RGB, grey images three times the same; 1 grey, with one value of mean and std."""


DATA_OPTIONS: dict[str, type[Section]] = {
    **dict.fromkeys(("digits", "digits_pairs", "breast_cancer", "diabetes"), BundledOptions),
    "idx": _ClassOptions,
    "image_folder": _FolderOptions,
    "npz": _NpzOptions,
    "table": TableOptions,
    "target": _LayoutOptions,
}
"""The options of each kind of data that has any; those of a user's callable come beside them."""


class _TorchvisionSet(NamedTuple):
    class_name: str
    folder: str


_TORCHVISION_SETS = {
    "mnist": _TorchvisionSet("MNIST", "MNIST/raw"),
    "fashion_mnist": _TorchvisionSet("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": _TorchvisionSet("CIFAR10", "cifar-10-batches-py"),
    "cifar100": _TorchvisionSet("CIFAR100", "cifar-100-python"),
}


def load_torchvision_set(config: DataConfig) -> DataBundle:
    """MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 in torchvision's own files under data.path, uint8.

    Raises:
        DataError: the files are missing (and data.download is false), damaged or cannot be downloaded.
    """
    parse_options(Section, config.options, "data.options")
    root = _path(config, "the folder that torchvision keeps its data sets in")
    known = _TORCHVISION_SETS[config.name]
    dataset_class = getattr(load_torchvision().datasets, known.class_name)
    try:
        train, test = (dataset_class(str(root), train=train, download=config.download) for train in (True, False))
    except Exception as error:  # torchvision reports missing and damaged files by many types
        raise DataError(
            f"data set {config.name!r}: cannot be read from {root / known.folder}; set data.path to the folder that "
            f"holds {known.folder}, or data.download=true (torchvision: {one_line(error)})"
        ) from error
    return DataBundle(
        train=_from_torchvision(train), test=_from_torchvision(test), class_names=tuple(map(str, train.classes))
    )


def _from_torchvision(dataset: Any) -> Samples:
    """MNIST-like sets hold an (N, H, W) tensor, CIFAR an (N, H, W, 3) array; both in uint8."""
    pixels = torch.as_tensor(dataset.data)
    inputs_NX = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    labels_N = torch.as_tensor(dataset.targets)
    return Samples(inputs_NX, labels_N, torch.arange(len(labels_N)))


def load_idx(config: DataConfig) -> DataBundle:
    """The four IDX files in the folder data.path."""
    options = parse_options(_ClassOptions, config.options, "data.options")
    folder = _path(config, "the folder of the four IDX files")
    train, test = (read_idx_folder(folder, split) for split in ("train", "test"))
    return DataBundle(train, test, options.names(train.targets, "idx"))


def load_image_folder(config: DataConfig) -> DataBundle:
    """data.path/train/<class>/ and data.path/test/<class>/ with image files, as RGB uint8."""
    options = parse_options(_FolderOptions, config.options, "data.options")
    root = _path(config, "a folder with train/<class>/ and test/<class>/")
    size = None
    if options.image_size is not None:
        if min(options.image_size) < 1:
            raise ConfigError(f"data.options.image_size: must be positive [height, width], got {options.image_size}")
        size = ImageSize(*options.image_size)
    names = None if options.class_names is None else tuple(map(composed, options.class_names))
    train, test = (
        read_image_folder(root, split, size, limit, options.channels, names)
        for split, limit in (("train", config.max_train), ("test", config.max_test))
    )
    _compare_splits(train, test, root)
    return DataBundle(train.images, test.images, train.class_names, _notes(train, test, root))


def _compare_splits(train: Split, test: Split, root: Path) -> None:
    if train.class_names != test.class_names:
        differing = ", ".join(sorted(set(train.class_names) ^ set(test.class_names)))
        raise DataError(
            f"data set 'image_folder': {root}/train and {root}/test have different classes ({differing}); "
            "use the same class folders in both, or list all classes by data.options.class_names"
        )
    if train.depth != test.depth:
        raise DataError(
            f"data set 'image_folder': images in {root}/train have {train.depth}, those in {root}/test {test.depth}; "
            "convert them to one depth"
        )


def _notes(train: Split, test: Split, root: Path) -> tuple[str, ...]:
    in_both = len(train.files & test.files)
    overlap = (f"{in_both} test images are the same files as training images, so the test flatters",) if in_both else ()
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in ("train", "test"))
    unused = (f"beside train and test, not used: {listed(others)}",) if others else ()
    return (*train.notes, *test.notes, *overlap, *unused)


def load_npz(config: DataConfig) -> DataBundle:
    """A NumPy archive with x_train, y_train, x_test, y_test; inputs are uint8, or floating point taken as it is.

    Raises:
        DataError: the file or an array is missing, damaged or of the wrong kind.
    """
    options = parse_options(_NpzOptions, config.options, "data.options")
    path = _path(config, "an .npz file with x_train, y_train, x_test and y_test")

    def choose(names: list[str]) -> tuple[str, ...]:
        missing = [name for name in _NPZ_ARRAYS if name not in names]
        if missing:
            raise DataError(
                f"data set 'npz': {path} misses an array: {', '.join(missing)}; it holds {listed(names)}, and needs "
                f"{', '.join(_NPZ_ARRAYS)}"
            )
        return _NPZ_ARRAYS

    arrays = read_npz(path, choose)
    train, test = (
        _from_arrays(arrays[f"x_{split}"], arrays[f"y_{split}"], options.layout, split) for split in ("train", "test")
    )
    return DataBundle(train, test, options.names(train.targets, "npz"))


def _from_arrays(images: Any, labels: Any, layout: Layout | None, split: str) -> Samples:
    """The types are checked here because a conversion would hide them; check_samples sees to the rest."""
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"data set 'npz': x_{split} has type {images.dtype}; save it as uint8 or float32 (16 bits: / 65535)"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"data set 'npz': y_{split} has type {labels.dtype}; save whole numbers such as int64")
    if labels.ndim != 1:
        raise DataError(f"data set 'npz': y_{split} has shape {labels.shape}; save one label a sample, shape (N,)")
    inputs_NX = as_inputs(images, f"data set 'npz': x_{split}", layout)
    return Samples(inputs_NX, as_labels(labels, f"data set 'npz': y_{split}"), torch.arange(len(labels)))


def load_target(config: DataConfig) -> DataBundle:
    """What the callable options._target_ returns: a DataBundle, or torch Datasets (train, test) of (CHW, label).

    options.layout is no argument of the callable: it is the order of the axes of its images.

    Raises:
        ConfigError: the callable cannot be imported.
        DataError: it fails, or returns something else.
    """
    arguments = {name: value for name, value in config.options.items() if name != "layout"}
    ours = {name: value for name, value in config.options.items() if name == "layout"}
    layout = parse_options(_LayoutOptions, ours, "data.options").layout
    return own_bundle(call_target(arguments, "data.options", DataError), layout, arguments["_target_"])


def _path(config: DataConfig, what: str) -> Path:
    if config.path is None:
        raise ConfigError(f"data.path: data set {config.name!r} needs it; set data.path to {what}")
    return Path(config.path).expanduser()
