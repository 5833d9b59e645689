"""One function a kind of data set: DataConfig in, DataBundle out. datasets.py holds the table and the checks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field

from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import DataConfig, Section
from smule_crypten.data.files_idx import read_idx_folder
from smule_crypten.data.loaders_folder import FolderOptions
from smule_crypten.data.loaders_npz import NpzOptions
from smule_crypten.data.loaders_series import SeriesOptions
from smule_crypten.data.own_data import own_bundle
from smule_crypten.data.reader_options import ClassOptions, LayoutOptions, path_of
from smule_crypten.data.samples import DataBundle, Samples, numbered_classes
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.torchvision_compat import load_torchvision

_DIGITS_SPLIT_SEED = 0


class _DigitsOptions(Section):
    test_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Share of all samples that is held out for testing, stratified, always the same split."""


DATA_OPTIONS: dict[str, type[Section]] = {
    "digits": _DigitsOptions,
    "idx": ClassOptions,
    "image_folder": FolderOptions,
    "npz": NpzOptions,
    "series": SeriesOptions,
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


def load_digits(config: DataConfig) -> DataBundle:
    """scikit-learn's 1,797 digits, (N, 1, 8, 8) float32 in [0, 1]; sample ids number all of them.

    The stratified test split is the same in every run.
    """
    options = parse_options(_DigitsOptions, config.options, "data.options")
    # Imported here: scikit-learn takes a second to load and no other data set needs it.
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    digits = sklearn_digits()
    whole = Samples(
        inputs=torch.from_numpy(digits.images).float().div_(16).unsqueeze(1),
        targets=torch.from_numpy(digits.target).long(),
        sample_ids=torch.arange(len(digits.target)),
    )
    try:
        train, test = train_test_split(
            np.arange(len(whole)),
            test_size=options.test_fraction,
            stratify=digits.target,
            random_state=_DIGITS_SPLIT_SEED,
        )
    except ValueError as error:
        raise ConfigError(f"data.options.test_fraction: {options.test_fraction} cannot be used: {error}") from error
    return DataBundle(
        train=whole.select(torch.from_numpy(np.sort(train))),
        test=whole.select(torch.from_numpy(np.sort(test))),
        class_names=numbered_classes(10),
    )


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
