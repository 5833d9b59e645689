"""What is true of samples, for each task: one class, several labels, or numbers. Shapes and unknown targets.

classification: (N,) int64 class numbers, -1 where nobody may look. multilabel: (N, labels) float32 of 0 and 1.
regression: (N, targets) float32. A row of NaN stands for one that nobody may look at.
"""

from __future__ import annotations

import math

import torch

from smule_crypten.errors import DataError
from smule_crypten.metric_names import TaskName

UNKNOWN = -1
"""The class of a sample whose class nobody may look at."""


def unknown_like(targets: torch.Tensor) -> torch.Tensor:
    """As many, and nobody may look at any."""
    return torch.full_like(targets, math.nan if targets.is_floating_point() else UNKNOWN)


def is_known(targets: torch.Tensor) -> torch.Tensor:
    """(N,) bool."""
    return ~targets.isnan().any(dim=1) if targets.is_floating_point() else targets != UNKNOWN


def check_targets(
    targets: torch.Tensor, sample_ids: torch.Tensor, task: TaskName, num_outputs: int, where: str
) -> None:
    """Refuse what the task cannot be learned from.

    Raises:
        DataError: the wrong type or shape, a class that does not exist, a label other than 0 and 1, a number that is
            not finite. The message begins with where.
    """
    found = f"targets are {targets.dtype} of shape {tuple(targets.shape)}"
    if task == "classification":
        if targets.dtype != torch.int64 or targets.dim() != 1:
            raise DataError(
                f"{where}: {found}; task=classification needs one class number a sample, int64 (N,); for several "
                "labels set task=multilabel, for numbers task=regression"
            )
        bad_N = (targets < 0) | (targets >= num_outputs)
        if bad_N.any():
            raise DataError(
                f"{where}: label {int(targets[bad_N][0])} of sample {int(sample_ids[bad_N][0])} is outside "
                f"0..{num_outputs - 1}; number the classes from 0, the same way in both splits"
            )
        return
    if targets.dtype != torch.float32 or targets.dim() != 2 or targets.shape[1] != num_outputs:
        raise DataError(f"{where}: {found}; task={task} needs float32 of shape (N, {num_outputs}), one column each")
    is_good_NC = ((targets == 0) | (targets == 1)) if task == "multilabel" else targets.isfinite()
    bad_N = ~is_good_NC.all(dim=1)
    if bad_N.any():
        wanted = "0 and 1" if task == "multilabel" else "finite numbers"
        bad = targets[bad_N][0][~is_good_NC[bad_N][0]][0]
        raise DataError(
            f"{where}: target {float(bad):g} of sample {int(sample_ids[bad_N][0])}, the first of {int(bad_N.sum())} "
            f"such samples; task={task} takes {wanted} alone"
        )
