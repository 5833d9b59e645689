"""Small data sets that scikit-learn brings along: one for each task, and one of vectors. Nothing is downloaded.

The test part is the same in every run, and sample ids number the samples of both parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig, Section
from smule_crypten.data.samples import DataBundle, Samples, numbered_classes
from smule_crypten.errors import ConfigError

_SPLIT_SEED = 0
_DIGITS = 10


class BundledOptions(Section):
    test_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Share of all samples that is held out for testing, always the same split; stratified where there are classes."""


def load_digits(config: DataConfig) -> DataBundle:
    """1,797 digits, (N, 1, 8, 8) float32 in [0, 1]; sample ids number all of them, in scikit-learn's order."""
    digits = _sklearn("load_digits")
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.target).long()
    inputs_NX = images.float().div_(16).unsqueeze(1)
    whole = Samples(inputs=inputs_NX, targets=labels, sample_ids=torch.arange(len(labels)))
    train, test = _split(config, len(labels), digits.target)
    return DataBundle(whole.select(train), whole.select(test), numbered_classes(_DIGITS))


def load_digits_pairs(config: DataConfig) -> DataBundle:
    """Two of the digits side by side, (N, 1, 8, 16) float32 in [0, 1]; label d: does the pair contain the digit d?

    The labels are real, that there are several is composed: pairs are drawn within training and test part, and no image
    occurs in two of them. A pair of the same digit has one label, all others have two.
    """
    digits = _sklearn("load_digits")
    first, second = _split(config, len(digits.target), digits.target)
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    images, labels = torch.from_numpy(digits.images).float().div_(16), torch.from_numpy(digits.target).long()

    def pairs(positions: torch.Tensor, first_id: int) -> Samples:
        count = len(positions) // 2
        drawn_2N = positions[torch.randperm(len(positions), generator=generator)[: 2 * count]].view(2, count)
        inputs_NX = torch.cat([images[drawn_N] for drawn_N in drawn_2N], dim=2).unsqueeze(1)
        targets_NC = torch.zeros(count, _DIGITS)
        for drawn_N in drawn_2N:
            targets_NC[torch.arange(count), labels[drawn_N]] = 1
        return Samples(inputs_NX, targets_NC, torch.arange(first_id, first_id + count))

    train = pairs(first, 0)
    return DataBundle(train, pairs(second, len(train)), tuple(f"contains {digit}" for digit in range(_DIGITS)))


def load_breast_cancer(config: DataConfig) -> DataBundle:
    """569 tumours, (N, 30) float32 of measured cell nuclei, in their own units; class 1 is malignant."""
    found = _sklearn("load_breast_cancer")
    malignant = np.flatnonzero(found.target_names == "malignant")[0]
    labels_N = (found.target == malignant).astype(np.int64)
    return _of_rows(config, found.data, labels_N, ("benign", "malignant"), stratify=labels_N)


def load_diabetes(config: DataConfig) -> DataBundle:
    """442 patients, (N, 10) float32 in their own units, and how far the disease has come a year later, (N, 1)."""
    found = _sklearn("load_diabetes", scaled=False)
    targets_N1 = found.target[:, None].astype(np.float32)
    return _of_rows(config, found.data, targets_N1, ("disease progression",), stratify=None)


def _of_rows(
    config: DataConfig,
    rows: npt.NDArray[np.float64],
    targets: npt.NDArray[Any],
    names: tuple[str, ...],
    stratify: npt.NDArray[np.int64] | None,
) -> DataBundle:
    inputs_NX, ids_N = torch.from_numpy(rows.astype(np.float32)), torch.arange(len(rows))
    whole = Samples(inputs=inputs_NX, targets=torch.from_numpy(targets), sample_ids=ids_N)
    train, test = _split(config, len(rows), stratify)
    return DataBundle(whole.select(train), whole.select(test), names)


def _sklearn(name: str, **arguments: Any) -> Any:
    # Imported here: scikit-learn takes a second to load and no other data set needs it.
    from sklearn import datasets

    return getattr(datasets, name)(**arguments)


def _split(config: DataConfig, count: int, stratify: npt.NDArray[np.int64] | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Sorted positions for training and test."""
    from sklearn.model_selection import train_test_split

    fraction = parse_options(BundledOptions, config.options, "data.options").test_fraction
    try:
        train, test = train_test_split(
            np.arange(count), test_size=fraction, stratify=stratify, random_state=_SPLIT_SEED
        )
    except ValueError as error:
        raise ConfigError(f"data.options.test_fraction: {fraction} cannot be used: {error}") from error
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(test))
