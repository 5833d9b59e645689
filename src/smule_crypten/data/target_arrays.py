"""What is to be predicted, from elsewhere, as plain tensors: its type and shape say what it is.

Whole numbers (N,) are class numbers; whole numbers or truth values (N, L) of 0 and 1 are L labels per sample;
floating-point numbers (N,) or (N, T) are T targets of a regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from smule_crypten.data.arrays import as_tensor
from smule_crypten.errors import DataError
from smule_crypten.names import shown


def as_targets(value: Any, what: str) -> torch.Tensor:
    """Class numbers as int64 (N,); several labels per sample and targets of a regression as float32 (N, L).

    Raises:
        DataError: it is none of these, or not finite. The message begins with what.
    """
    targets = as_tensor(value, what)
    shape = tuple(targets.shape)
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        raise DataError(f"{what} has shape {shape}; save (N,), or (N, labels) for several labels or targets per sample")
    if targets.is_floating_point():
        unusable = ~torch.isfinite(targets)
        if unusable.any():
            first = int(unusable.nonzero()[0, 0])
            raise DataError(f"{what}: sample {first} has a target that is NaN or infinite; repair or remove it")
        return targets.float().reshape(len(targets), -1)
    if len(shape) == 1:
        if targets.dtype == torch.bool:
            raise DataError(f"{what} has type bool; save class numbers as int64, or (N, 1) for one label a sample")
        return targets.long()
    if not ((targets == 0) | (targets == 1)).all():
        first = int(((targets != 0) & (targets != 1)).nonzero()[0, 0])
        raise DataError(
            f"{what}: whole numbers of shape {shape} are several labels per sample, 0 or 1, but sample {first} has "
            "another one; save class numbers as (N,), targets of a regression as float32"
        )
    return targets.float()


def check_alike(train: torch.Tensor, test: torch.Tensor, dataset: str) -> None:
    """Raises DataError where the targets of one split are of another kind than those of the other one."""
    if train.dtype != test.dtype or train.shape[1:] != test.shape[1:]:
        raise DataError(f"data set {dataset!r}: y of train is {_kind(train)}, y of test {_kind(test)}; save both alike")


def _kind(targets: torch.Tensor) -> str:
    return "one class number a sample" if targets.dim() == 1 else f"{targets.shape[1]} label(s) or target(s) a sample"


def class_numbers(labels: Sequence[str], names: Sequence[str], what: str) -> torch.Tensor:
    """The number of each label among the names, int64 (N,).

    Raises:
        DataError: a label is none of the names. The message begins with what.
    """
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [position for position, label in enumerate(labels) if label not in numbers]
    if unknown:
        raise DataError(
            f"{what}: label {shown(repr(labels[unknown[0]]))} of sample {unknown[0]} is none of the {len(names)} "
            f"classes; name all of them by data.options.class_names, alike at both parties"
        )
    return torch.tensor([numbers[label] for label in labels])
