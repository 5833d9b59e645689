"""data=npz: arrays in a file of NumPy's, of vectors, series or images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.arrays import Layout, as_inputs
from smule_crypten.data.files_npz import Array, read_npz
from smule_crypten.data.names import listed
from smule_crypten.data.reader_options import ClassOptions, LayoutOptions, path_of
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.data.target_arrays import as_targets, check_alike
from smule_crypten.errors import DataError

SPLITS = ("train", "test")
_ARRAYS = tuple(f"{kind}_{split}" for split in SPLITS for kind in "xy")


class NpzOptions(ClassOptions, LayoutOptions):
    pass


def load_npz(config: DataConfig) -> DataBundle:
    """A NumPy archive with x_train, y_train, x_test, y_test, x of (N, X), y as in target_arrays.py.

    Inputs are uint8, or floating point taken as it is.

    Raises:
        DataError: the file or an array is missing, damaged or of the wrong kind.
    """
    options = parse_options(NpzOptions, config.options, "data.options")
    path = path_of(config, "an .npz file with x_train, y_train, x_test and y_test")
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
    for split in SPLITS:  # a later conversion would hide it
        found = arrays[f"x_{split}"].dtype
        if found != np.uint8 and not np.issubdtype(found, np.floating):
            raise DataError(
                f"data set {dataset!r}: x_{split} has type {found}; save it as uint8 or float32 (16 bits: / 65535)"
            )
    return arrays


def _from_arrays(inputs: Any, targets: Any, layout: Layout | None, split: str) -> Samples:
    """check_samples sees to the shapes."""
    inputs_NX = as_inputs(inputs, f"data set 'npz': x_{split}", layout)
    targets_N = as_targets(targets, f"data set 'npz': y_{split}")
    return Samples(inputs_NX, targets_N, torch.arange(len(targets_N)))
