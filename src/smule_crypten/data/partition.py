"""Splitting one data set between the two parties of a simulation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.config.sections import PartitionConfig
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.types import PARTY_NAMES

_REMEDY = {
    "iid": "use more samples or a partition.fraction_a nearer to 0.5",
    "unequal": "use more samples or a partition.fraction_a nearer to 0.5",
    "dirichlet": "use a larger partition.alpha, a partition.fraction_a nearer to 0.5 or another seed",
    "by_class": "choose partition.classes_a so that each party has classes that occur in the data",
}


def split(
    labels_N: torch.Tensor, config: PartitionConfig, num_classes: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sorted positions (int64) of party a's and party b's samples: disjoint, and together all of them.

    iid and unequal draw party a's samples uniformly; the latter is a name for experiments with sizes that differ.
    dirichlet draws a's share of each class from Beta(2 alpha f, 2 alpha (1 - f)), f = fraction_a: the mean is f, and
    at f = 1/2 it is the symmetric Dirichlet(alpha) of two parties. by_class gives a the classes classes_a.

    Raises:
        ConfigError: classes_a names a class that does not exist.
        DataError: a party gets no samples.
    """
    labels = labels_N.numpy()
    generator = np.random.default_rng(seed)
    if config.name == "by_class":
        at_a = _by_class(labels, config, num_classes)
    elif config.name == "dirichlet":
        at_a = _dirichlet(labels, config, num_classes, generator)
    else:
        at_a = _uniform(labels, config, generator)
    for party, count in zip(PARTY_NAMES, (at_a.sum(), (~at_a).sum()), strict=True):
        if count == 0:
            raise DataError(
                f"partition {config.name!r} of {len(labels)} samples leaves none to party {party}; "
                f"{_REMEDY[config.name]}"
            )
    return torch.from_numpy(np.flatnonzero(at_a)), torch.from_numpy(np.flatnonzero(~at_a))


def missing_classes(counts_C: torch.Tensor) -> list[int]:
    """The classes without a single sample, in ascending order."""
    missing: list[int] = (counts_C == 0).nonzero().flatten().tolist()
    return missing


def _uniform(
    labels: npt.NDArray[np.int64], config: PartitionConfig, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    at_a = np.zeros(len(labels), dtype=bool)
    at_a[generator.permutation(len(labels))[: round(config.fraction_a * len(labels))]] = True
    return at_a


def _dirichlet(
    labels: npt.NDArray[np.int64], config: PartitionConfig, num_classes: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    concentration = 2 * config.alpha
    share_of_a = generator.beta(
        concentration * config.fraction_a, concentration * (1 - config.fraction_a), size=num_classes
    )
    at_a = np.zeros(len(labels), dtype=bool)
    for label in range(num_classes):
        positions = generator.permutation(np.flatnonzero(labels == label))
        at_a[positions[: round(share_of_a[label] * len(positions))]] = True
    return at_a


def _by_class(labels: npt.NDArray[np.int64], config: PartitionConfig, num_classes: int) -> npt.NDArray[np.bool_]:
    for label in config.classes_a:
        if not 0 <= label < num_classes:
            raise ConfigError(f"partition.classes_a: there is no class {label}; classes are 0..{num_classes - 1}")
    return np.isin(labels, config.classes_a)
