"""What a party computes of its own rows, in the clear: the two sums that a ridge head is solved from.

With features as rows of X and targets as rows of Y, a head of both parties' rows needs G = X^T X and H = X^T Y only,
and both are sums over rows: each party's own matrix already is its additive share.

- A row of features is clipped to a public Euclidean norm, so that no sample counts for more than that.
- Then a feature that is one everywhere is appended: its weight is the bias. It is regularised like the others. (Its
  row of G holds the sums of features and the number of rows, that of H the sums of targets; both stay secret like the
  rest.)
- Targets are small numbers around zero, by public rules alone (the functions below).

Sums are in float64, whatever the type of the features, and come in batches: nothing of size N is kept.

Shape legend: N rows, F features, D = F + 1 with the constant one, C outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from smule_crypten.errors import DataError


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of one party's rows, not divided by anything. rows: how many. gram_DD: G. moments_DC: H, float64."""

    rows: int
    gram_DD: torch.Tensor
    moments_DC: torch.Tensor

    @property
    def features(self) -> int:
        """D: the constant feature included."""
        return len(self.gram_DD)

    @property
    def outputs(self) -> int:
        return self.moments_DC.size(1)

    def __add__(self, other: Statistics) -> Statistics:
        """Of the rows of both."""
        gram_DD, moments_DC = self.gram_DD + other.gram_DD, self.moments_DC + other.moments_DC
        return Statistics(self.rows + other.rows, gram_DD, moments_DC)


class StatisticsSum:
    """Statistics, batch by batch.

    Args:
        features: F, without the constant one.
        clip_norm: the largest norm of a row of features; the same at both parties.
    """

    def __init__(self, features: int, outputs: int, clip_norm: float) -> None:
        if not 0 < clip_norm < math.inf:
            raise ValueError(f"a clipping norm is positive and finite, got {clip_norm}")
        self._clip_norm = clip_norm
        self._sum = Statistics(
            0,
            torch.zeros(features + 1, features + 1, dtype=torch.float64),
            torch.zeros(features + 1, outputs, dtype=torch.float64),
        )

    def add(self, features_NF: torch.Tensor, targets_NC: torch.Tensor) -> None:
        """Add rows; targets (N, C) as the functions below make them.

        Raises:
            DataError: a number is not finite, or the rows have another shape than announced.
        """
        due = (self._sum.features - 1, self._sum.outputs)
        got = (features_NF.size(1), targets_NC.size(1))
        if got != due or len(features_NF) != len(targets_NC):
            raise DataError(
                f"the joint head was given {len(features_NF)} rows of {got[0]} features and {len(targets_NC)} of "
                f"{got[1]} targets where {due[0]} and {due[1]} are due; both parties need the same feature map and task"
            )
        if not bool(features_NF.isfinite().all()) or not bool(targets_NC.isfinite().all()):
            raise DataError("a feature or target of the joint head is not finite; leave out rows without a target")
        rows_ND = with_constant(features_NF, self._clip_norm)
        added = Statistics(len(rows_ND), rows_ND.T @ rows_ND, rows_ND.T @ targets_NC.double())
        self._sum = self._sum + added

    def total(self) -> Statistics:
        """Of all rows so far."""
        return self._sum


def with_constant(features_NF: torch.Tensor, clip_norm: float) -> torch.Tensor:
    """Rows as the head sees them, (N, D) float64: clipped to the norm, then a feature that is one."""
    features_NF = features_NF.double()
    norms_N1 = features_NF.norm(dim=1, keepdim=True)
    clipped_NF = features_NF * (clip_norm / norms_N1.clamp(min=clip_norm))
    return torch.cat([clipped_NF, clipped_NF.new_ones(len(clipped_NF), 1)], dim=1)


def one_hot_targets(classes_N: torch.Tensor, num_classes: int) -> torch.Tensor:
    """One-hot rows less 1 / C: what is common to the classes of a sample means nothing. (N, C) float64."""
    return torch.nn.functional.one_hot(classes_N, num_classes).double() - 1 / num_classes


def label_targets(labels_NC: torch.Tensor) -> torch.Tensor:
    """Several labels, 0 or 1 each, as -1/2 or 1/2: every label is an output of its own, with nothing in common."""
    return labels_NC.double() - 0.5


def ranged_targets(values_NC: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Numbers of a public range as -1/2 to 1/2; what lies outside counts as the end of the range.

    Raises:
        DataError: the range is empty or not finite.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"the targets' public range is {low:g} to {high:g}; give two finite numbers, the smaller first")
    return (values_NC.double().clamp(low, high) - (low + high) / 2) / (high - low)
