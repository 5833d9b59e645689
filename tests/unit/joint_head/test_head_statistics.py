"""Sums over own rows: held against NumPy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smule_crypten.errors import DataError
from smule_crypten.joint_head.statistics import StatisticsSum, label_targets, one_hot_targets, ranged_targets


def rows(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features_NF = torch.randn(count, 5, generator=generator)
    return features_NF, one_hot_targets(torch.randint(0, 3, (count,), generator=generator), 3)


def test_statistics_are_the_sums_of_numpy_with_clipped_rows_and_a_constant() -> None:
    """Clipping comes before the constant, and touches only rows that are longer than the public norm."""
    features_NF, targets_NC = rows(40)
    statistics = StatisticsSum(5, 3, clip_norm=2.0)
    statistics.add(features_NF, targets_NC)
    x = features_NF.numpy().astype(np.float64)
    norms = np.sqrt((x**2).sum(axis=1))
    assert (norms > 2).any()
    assert (norms < 2).any()
    x[norms > 2] *= (2 / norms[norms > 2])[:, None]
    x = np.hstack([x, np.ones((40, 1))])
    total = statistics.total()
    assert total.rows == 40
    np.testing.assert_allclose(total.gram_DD.numpy(), x.T @ x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total.moments_DC.numpy(), x.T @ targets_NC.numpy(), rtol=1e-12, atol=1e-12)
    assert total.gram_DD[-1, -1] == 40


def test_batches_and_parties_add_up() -> None:
    """The sum over parties is that over their joint rows, whatever the batches: the reason for all of this."""
    features_NF, targets_NC = rows(41)
    whole, first, second = (StatisticsSum(5, 3, 2.0) for _ in range(3))
    whole.add(features_NF, targets_NC)
    first.add(features_NF[:7], targets_NC[:7])
    first.add(features_NF[7:20], targets_NC[7:20])
    second.add(features_NF[20:], targets_NC[20:])
    joint = first.total() + second.total()
    assert joint.rows == whole.total().rows
    torch.testing.assert_close(joint.gram_DD, whole.total().gram_DD)
    torch.testing.assert_close(joint.moments_DC, whole.total().moments_DC)


def test_targets_are_around_zero_by_public_rules() -> None:
    """Centres and ranges come of public numbers, never of a party's own data."""
    classes = one_hot_targets(torch.tensor([1, 0]), 4)
    assert classes.tolist() == [[-0.25, 0.75, -0.25, -0.25], [0.75, -0.25, -0.25, -0.25]]
    assert label_targets(torch.tensor([[0.0, 1.0]])).tolist() == [[-0.5, 0.5]]
    assert ranged_targets(torch.tensor([[10.0], [15.0], [99.0]]), 10, 20).tolist() == [[-0.5], [0.0], [0.5]]


def test_bad_rows_are_refused_in_one_line() -> None:
    """A row without a target, another feature map, or an empty range never reaches a sum."""
    features_NF, targets_NC = rows(4)
    statistics = StatisticsSum(5, 3, 2.0)
    with pytest.raises(DataError, match="not finite; leave out rows"):
        statistics.add(features_NF, targets_NC.where(targets_NC < 0, torch.nan))
    with pytest.raises(DataError, match="4 rows of 4 features and 4 of 3 targets where 5 and 3 are due"):
        statistics.add(features_NF[:, :4], targets_NC)
    with pytest.raises(DataError, match="public range is 2 to 1"):
        ranged_targets(targets_NC, 2, 1)
    with pytest.raises(ValueError, match="positive"):
        StatisticsSum(5, 3, 0.0)
    assert statistics.total().rows == 0
