"""Membership inference on the joint head: was this labelled sample among the rows of the other party?

With A = G_own + penalty I, which the party knows, the head W fulfils

    A W - H_own = X^T (Y - X W) =: R        X, Y: rows and targets of the other party alone,

the gradient of the other party's rows, full batch. Whoever sees W computes R. Whoever has answers q W has q A^-1 R,
under the answers' noise. A sample (x, y) of the other party adds x r^T to R, r = y - x W; the others add what looks
normal, with the covariances S of rows (own ones tell it) and E of residuals, so many times over. So the score of a
sample is the logarithm of the likelihood ratio of two normal distributions: of all that is known of R, with the sample
and without it.

A question need not be a sample. `telling_rows` are those whose single answer says most about a candidate.

Shape legend: N candidates, Q answers, D features with the constant one, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics

_LEAST = 1e-3
"""Of the mean variance of a feature, added to each: there may be directions in which own rows do not vary."""
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a party knows before it asks. own: sums of its rows. total_rows: n, of both. penalty: of the joint head."""

    own: Statistics
    total_rows: int
    penalty: float

    @property
    def matrix_DD(self) -> torch.Tensor:
        """A."""
        identity_DD = torch.eye(self.own.features, dtype=torch.float64)
        return self.own.gram_DD + self.penalty * identity_DD

    @property
    def rows_DD(self) -> torch.Tensor:
        """S."""
        rows_DD = self.own.gram_DD / self.own.rows
        return rows_DD + _LEAST * rows_DD.diagonal().mean() * torch.eye(self.own.features, dtype=torch.float64)

    @property
    def other_rows(self) -> int:
        return self.total_rows - self.own.rows

    def usual_DC(self, head_DC: torch.Tensor) -> torch.Tensor:
        """R as it is on average, if the other party's samples are like this party's own."""
        return self.other_rows / self.total_rows * self.penalty * head_DC


def revealed_gradient(known: Knowledge, head_DC: torch.Tensor) -> torch.Tensor:
    """R, exactly: (D, C)."""
    return known.matrix_DD @ head_DC - known.own.moments_DC


def telling_rows(known: Knowledge, candidates_ND: torch.Tensor, clip_norm: float) -> torch.Tensor:
    """For each candidate x the row whose output is x^T S^-1 R, which is what all of W says of it; of the largest norm.

    (N, D). The whole row has that norm, the constant's place included, which a party that breaks no rule keeps at one.
    """
    rows_ND = torch.linalg.solve(known.rows_DD, candidates_ND.T).T @ known.matrix_DD
    lengths_N1: torch.Tensor = rows_ND.norm(dim=1, keepdim=True)
    longest_ND: torch.Tensor = rows_ND * (clip_norm / lengths_N1)
    return longest_ND


def scores_by_answers(
    known: Knowledge,
    rows_QD: torch.Tensor,
    answers_QC: torch.Tensor,
    candidates_ND: torch.Tensor,
    targets_NC: torch.Tensor,
    *,
    noise: float,
) -> torch.Tensor:
    """(N,), higher for those that look like rows of the other party; candidates may be what was asked, or not."""
    seen_QD, told_QC, residuals_NC = _told(known, rows_QD, answers_QC, candidates_ND, targets_NC)
    variances_Q, axes_QQ = torch.linalg.eigh(known.other_rows * seen_QD @ known.rows_DD @ seen_QD.T)
    added_NQ = candidates_ND @ (seen_QD.T @ axes_QQ)
    return _ratios(variances_Q, axes_QQ.T @ told_QC, added_NQ, residuals_NC, noise)


def scores_one_by_one(
    known: Knowledge,
    rows_ND: torch.Tensor,
    answers_NC: torch.Tensor,
    candidates_ND: torch.Tensor,
    targets_NC: torch.Tensor,
    *,
    noise: float,
) -> torch.Tensor:
    """The same, each candidate by the answer to the row of its number and no other."""
    seen_ND, told_NC, residuals_NC = _told(known, rows_ND, answers_NC, candidates_ND, targets_NC)
    variances_N = known.other_rows * (seen_ND @ known.rows_DD * seen_ND).sum(dim=1)
    added_N = (candidates_ND * seen_ND).sum(dim=1)
    spreads_K, classes_CK = _spread(residuals_NC)
    variances_NK = variances_N.unsqueeze(1) * spreads_K + noise**2
    expected_NK = added_N.unsqueeze(1) * (residuals_NC @ classes_CK)
    return ((told_NC @ classes_CK - expected_NK / 2) * expected_NK / variances_NK).sum(dim=1)


def scores_by_head(
    known: Knowledge, head_DC: torch.Tensor, candidates_ND: torch.Tensor, targets_NC: torch.Tensor
) -> torch.Tensor:
    """The same with W revealed."""
    told_DC = _centred(revealed_gradient(known, head_DC) - known.usual_DC(head_DC))
    variances_D, axes_DD = torch.linalg.eigh(known.other_rows * known.rows_DD)
    residuals_NC = targets_NC - candidates_ND @ head_DC
    return _ratios(variances_D, axes_DD.T @ told_DC, candidates_ND @ axes_DD, residuals_NC, 0.0)


def sample_between(
    first: Knowledge, head_DC: torch.Tensor, second: Knowledge, changed_DC: torch.Tensor
) -> torch.Tensor:
    """Two solves, of which the second has one row more at the other party: that row (D,), up to a factor.

    Args:
        head_DC, changed_DC: W of each. What a party knows has the n and the penalty of each.
    """
    own = first.own
    step_DC = revealed_gradient(second, changed_DC) - revealed_gradient(first, head_DC)
    left_DC = step_DC + first.other_rows * (own.gram_DD / own.rows) @ (changed_DC - head_DC)
    found_D: torch.Tensor = torch.linalg.svd(left_DC, full_matrices=False).U[:, 0]
    return found_D


def _told(
    known: Knowledge,
    rows_QD: torch.Tensor,
    answers_QC: torch.Tensor,
    candidates_ND: torch.Tensor,
    targets_NC: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is seen (Q, D) and told (Q, C): told = seen R + noise less what is usual; the candidates' residuals."""
    head_DC = exact_head(known.own, known.penalty)  # those of the joint head are much the same
    seen_QD = torch.linalg.solve(known.matrix_DD, rows_QD.T).T
    told_QC = answers_QC.double() - seen_QD @ (known.own.moments_DC + known.usual_DC(head_DC))
    return seen_QD, _centred(told_QC), targets_NC - candidates_ND @ head_DC


def _ratios(
    variances_Q: torch.Tensor, told_QC: torch.Tensor, added_NQ: torch.Tensor, residuals_NC: torch.Tensor, noise: float
) -> torch.Tensor:
    """Logarithms of likelihood ratios, along axes in which what is told is independent.

    Args:
        variances_Q: of the sum over the others, for a residual of variance one.
        added_NQ: what a candidate adds for a residual of one.
    """
    spreads_K, classes_CK = _spread(residuals_NC)
    variances_QK = variances_Q.clamp(min=0).unsqueeze(1) * spreads_K + noise**2
    variances_QK = variances_QK + _TINY * variances_QK.max()
    residuals_NK = residuals_NC @ classes_CK
    likeness_N = ((added_NQ @ (told_QC @ classes_CK / variances_QK)) * residuals_NK).sum(dim=1)
    power_N = ((added_NQ.square() @ variances_QK.reciprocal()) * residuals_NK.square()).sum(dim=1)
    return likeness_N - power_N / 2


def _spread(residuals_NC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Variances (K,) and axes (C, K) of residuals, K = C - 1: those of classes add up to nothing."""
    spreads_C, classes_CC = torch.linalg.eigh(residuals_NC.T @ residuals_NC / len(residuals_NC))
    return spreads_C[1:], classes_CC[:, 1:]


def _centred(outputs_NC: torch.Tensor) -> torch.Tensor:
    """What outputs have in common is not opened."""
    return outputs_NC - outputs_NC.mean(dim=1, keepdim=True)
