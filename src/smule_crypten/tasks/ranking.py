"""AUROC and average precision of one class in many resamples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from smule_crypten.tasks.metrics import Array


class Ranking:
    """The samples of one class or label in the order of their probability, the most probable first.

    Samples of the same probability stand on one step. Steps without a sample of the class matter by what stands on
    them together, so that neighbours of these are one step, too.
    """

    def __init__(self, is_there_N: NDArray[np.bool_], probability_N: Array) -> None:
        order = np.argsort(-probability_N, kind="stable")
        there_N, sorted_N = is_there_N[order], probability_N[order]
        begins_N = np.append(True, sorted_N[1:] != sorted_N[:-1])
        tie_N = begins_N.cumsum() - 1
        has_N = np.bincount(tie_N, weights=there_N)[tie_N] > 0
        step_N = (begins_N & (has_N | np.append(True, has_N[:-1]))).cumsum() - 1
        self._has_S = np.bincount(step_N, weights=there_N) > 0
        self._all = _summing(step_N, order, len(order))
        self._there = _summing((self._has_S.cumsum() - 1)[step_N[there_N]], order[there_N], len(order))

    def values(self, weights_NB: Array) -> tuple[Array, Array]:
        """AUROC (B,) and average precision (B,) in resamples; NaN where one holds all of the class, or none.

        Args:
            weights_NB: how often each resample holds each sample.
        """
        on_step_SB = self._all @ weights_NB
        up_to_SB = on_step_SB.cumsum(axis=0)
        samples_B = weights_NB.sum(axis=0)
        on_step_SB, up_to_SB = on_step_SB[self._has_S], up_to_SB[self._has_S]
        there_SB = self._there @ weights_NB
        there_up_to_SB = there_SB.cumsum(axis=0)
        there_B = there_SB.sum(axis=0)
        others_B = samples_B - there_B
        # Pairs of one with and one without that are in the right order; those of one step count half.
        below_SB = others_B - (up_to_SB - there_up_to_SB) + (on_step_SB - there_SB) / 2
        precision_SB = there_up_to_SB / np.maximum(up_to_SB, 1e-300)
        is_defined_B = (there_B > 0) & (others_B > 0)
        pairs_B = np.where(is_defined_B, there_B * others_B, np.nan)
        auroc_B = np.einsum("sb,sb->b", there_SB, below_SB) / pairs_B
        auprc_B = np.einsum("sb,sb->b", there_SB, precision_SB) / np.where(is_defined_B, there_B, np.nan)
        return auroc_B, auprc_B


def _summing(row_M: NDArray[np.int64], sample_M: NDArray[np.int64], num_samples: int) -> sparse.csr_array:
    """The matrix that sums over the samples of each row."""
    num_rows = int(row_M[-1]) + 1 if len(row_M) else 0
    return sparse.csr_array((np.ones(len(row_M)), (row_M, sample_M)), shape=(num_rows, num_samples))
