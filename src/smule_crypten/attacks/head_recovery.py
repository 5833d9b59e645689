"""Recovering the joint head from its answers: what a party can compute of weights that stay shared.

The party knows its own sums, the rows it asked with, how much noise is on the answers, and nothing else. Its guess is
the most likely head: its own one, moved by independent normal amounts, whose deviation for each output is the one that
makes the answers most likely. Among priors that know more of the sums' shape, none was better on CIFAR-10. Without
noise and with as many answers as features it is the head itself.

Shape legend: Q answers, D features with the constant one, C outputs.
"""

from __future__ import annotations

import torch

from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics

_DEVIATIONS = torch.logspace(-5, 1, 61, dtype=torch.float64)
"""Of a weight from that of the own head, among which the answers choose."""
_LEAST_NOISE = 1e-7
"""Answers are no more exact than rounding leaves them."""


def recovered_head(
    own: Statistics, rows_QD: torch.Tensor, answers_QC: torch.Tensor, *, noise: float, ridge: float
) -> torch.Tensor:
    """The most likely head (D, C), float64; less what its outputs have in common, which is not opened.

    Args:
        rows_QD: with the constant one, as `with_constant` makes them.
        answers_QC: opened outputs; what the outputs of a row have in common does not count.
        noise: deviation of the noise on an output, in units of the targets.
    """
    own_DC = _centred(exact_head(own, ridge))
    moved_QC = _centred(answers_QC.double()) - rows_QD @ own_DC
    variances_Q, axes_QQ = torch.linalg.eigh(rows_QD @ rows_QD.T)
    variances_Q, along_QC = variances_Q.clamp(min=0), axes_QQ.T @ moved_QC
    noises = max(noise, _LEAST_NOISE) ** 2
    squares = _DEVIATIONS.square()
    spread_KQ = squares.unsqueeze(1) * variances_Q + noises
    evidence_KC = -(along_QC.square() / spread_KQ.unsqueeze(2)).sum(dim=1) - spread_KQ.log().sum(dim=1, keepdim=True)
    best_C = evidence_KC.argmax(dim=0)
    scaled_QC = along_QC * squares[best_C] / spread_KQ[best_C].T
    guess_DC: torch.Tensor = own_DC + rows_QD.T @ (axes_QQ @ scaled_QC)
    return guess_DC


def widest_rows(own: Statistics, count: int, clip_norm: float) -> torch.Tensor:
    """Rows (count, D) that no sample has: along the axes in which own rows vary most, as long as the norm allows.

    Nobody can see that a question is none of a sample. At most as many as there are axes, D - 1.
    """
    moments_FF = own.gram_DD[:-1, :-1]
    axes_FF = torch.linalg.eigh(moments_FF).eigenvectors.flip(1)
    rows_QF = clip_norm * axes_FF[:, :count].T
    return torch.cat([rows_QF, rows_QF.new_ones(len(rows_QF), 1)], dim=1)


def _centred(outputs_NC: torch.Tensor) -> torch.Tensor:
    return outputs_NC - outputs_NC.mean(dim=1, keepdim=True)
