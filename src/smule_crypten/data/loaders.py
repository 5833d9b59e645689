"""One function a kind of data set: DataConfig in, DataBundle out. datasets.py holds the table and the checks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import DataConfig, Section
from smule_crypten.data.bundled_sets import BundledOptions
from smule_crypten.data.files_idx import read_idx_folder
from smule_crypten.data.files_table import TableOptions
from smule_crypten.data.loaders_folder import FolderOptions
from smule_crypten.data.loaders_npz import NpzOptions
from smule_crypten.data.loaders_series import SeriesOptions
from smule_crypten.data.own_data import own_bundle
from smule_crypten.data.reader_options import ClassOptions, LayoutOptions, path_of
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import DataError
from smule_crypten.torchvision_compat import load_torchvision

DATA_OPTIONS: dict[str, type[Section]] = {
    **dict.fromkeys(("digits", "digits_pairs", "breast_cancer", "diabetes"), BundledOptions),
    "idx": ClassOptions,
    "image_folder": FolderOptions,
    "npz": NpzOptions,
    "series": SeriesOptions,
    "table": TableOptions,
    "target": LayoutOptions,
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
    root = path_of(config, "the folder that torchvision keeps its data sets in")
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
    options = parse_options(ClassOptions, config.options, "data.options")
    folder = path_of(config, "the folder of the four IDX files")
    train, test = (read_idx_folder(folder, split) for split in ("train", "test"))
    return DataBundle(train, test, options.names(train.targets, "idx"))


def load_target(config: DataConfig) -> DataBundle:
    """What the callable options._target_ returns: a DataBundle, or torch Datasets (train, test) of (CHW, label).

    options.layout is no argument of the callable: it is the order of the axes of its images.

    Raises:
        ConfigError: the callable cannot be imported.
        DataError: it fails, or returns something else.
    """
    arguments = {name: value for name, value in config.options.items() if name != "layout"}
    ours = {name: value for name, value in config.options.items() if name == "layout"}
    layout = parse_options(LayoutOptions, ours, "data.options").layout
    return own_bundle(call_target(arguments, "data.options", DataError), layout, arguments["_target_"])
