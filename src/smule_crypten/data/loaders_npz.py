"""data=npz: arrays in a file of NumPy's, or in a folder of such files, of vectors, series or images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.arrays import Layout, as_inputs
from smule_crypten.data.files_npz import Array, read_npz
from smule_crypten.data.lazy_samples import Keeping, LazySamples
from smule_crypten.data.reader_options import ClassOptions, LayoutOptions, path_of
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.data.target_arrays import as_targets, check_alike
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.names import listed
from smule_crypten.sources.lazy_inputs import LazyInputs
from smule_crypten.sources.mapped_array import MappedArray, map_array, stamp_of

SPLITS = ("train", "test")
_BYTES_OF_FLOAT = 4
_ARRAYS = tuple(f"{kind}_{split}" for split in SPLITS for kind in "xy")


class NpzOptions(ClassOptions, LayoutOptions):
    pass


def load_npz(config: DataConfig) -> DataBundle:
    """A NumPy archive with x_train, y_train, x_test, y_test, x of (N, X), y as in target_arrays.py.

    Inputs are uint8, or floating point taken as it is. A folder with x_train.npy and so on is the same, but that its x
    need not be read: the files are mapped. An archive cannot be mapped.

    Raises:
        ConfigError: an archive is not to be held in memory.
        DataError: the file or an array is missing, damaged or of the wrong kind.
    """
    options = parse_options(NpzOptions, config.options, "data.options")
    path = path_of(config, "an .npz file with x_train, y_train, x_test and y_test")
    if path.is_dir():
        return _load_folder(path, options, Keeping.of(config))
    if config.in_memory is False:
        raise ConfigError(
            f"data.in_memory=false: {path} is an archive, which cannot be mapped; save each of its arrays by "
            "numpy.save, as x_train.npy and so on, and set data.path to their folder"
        )
    arrays = read_splits(path, "npz")
    train, test = (_from_arrays(arrays[f"x_{split}"], arrays[f"y_{split}"], options.layout, split) for split in SPLITS)
    check_alike(train.targets, test.targets, "npz")
    return DataBundle(train, test, options.names(train.targets, "npz"))


def read_splits(path: Path, dataset: str) -> dict[str, Array]:
    """The four arrays of the file, x_train, y_train, x_test and y_test.

    Raises:
        DataError: the file or an array is missing or damaged, or x is neither uint8 nor floating point.
    """

    def choose(names: list[str]) -> tuple[str, ...]:
        missing = [name for name in _ARRAYS if name not in names]
        if missing:
            raise DataError(
                f"data set {dataset!r}: {path} misses an array: {', '.join(missing)}; it holds {listed(names)}, and "
                f"needs {', '.join(_ARRAYS)}"
            )
        return _ARRAYS

    arrays = read_npz(path, choose)
    for split in SPLITS:
        _check_type(arrays[f"x_{split}"], split, dataset)
    return arrays


def _load_folder(folder: Path, options: NpzOptions, keeping: Keeping) -> DataBundle:
    train, test = (_of_files(folder, split, options.layout, keeping) for split in SPLITS)
    check_alike(train.targets, test.targets, "npz")
    return DataBundle(train, test, options.names(train.targets, "npz"))


def _of_files(folder: Path, split: str, layout: Layout | None, keeping: Keeping) -> Samples:
    path = folder / f"x_{split}.npy"
    inputs, targets = map_array(path), map_array(folder / f"y_{split}.npy")
    _check_type(inputs, split, "npz")
    if keeping.is_in_memory(_BYTES_OF_FLOAT * inputs.size):
        return _from_arrays(inputs, targets, layout, split)
    targets_N = as_targets(targets, f"data set 'npz': y_{split}")
    source = MappedArray(inputs, partial(as_inputs, what=f"{path}", layout=layout), stamp_of(path), path)
    return LazySamples(LazyInputs(source, torch.arange(len(inputs))), targets_N, torch.arange(len(targets_N)))


def _check_type(inputs: Array, split: str, dataset: str) -> None:
    """A later conversion would hide it."""
    found = inputs.dtype
    if found != np.uint8 and not np.issubdtype(found, np.floating):
        raise DataError(
            f"data set {dataset!r}: x_{split} has type {found}; save it as uint8 or float32 (16 bits: / 65535)"
        )


def _from_arrays(inputs: Any, targets: Any, layout: Layout | None, split: str) -> Samples:
    """check_samples sees to the shapes."""
    inputs_NX = as_inputs(inputs, f"data set 'npz': x_{split}", layout)
    targets_N = as_targets(targets, f"data set 'npz': y_{split}")
    return Samples(inputs_NX, targets_N, torch.arange(len(targets_N)))
