"""The joint head as a party estimates it, in the clear, from own sums and the answers that it got."""

from __future__ import annotations

import torch

from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics


def estimated_head(
    own: Statistics,
    rows_ND: torch.Tensor,
    answers_NC: torch.Tensor,
    *,
    noise: float,
    ridge: float,
    total_rows: int,
) -> torch.Tensor:
    """(D, C) float64: the joint head's weights as the answers let one guess them.

    Args:
        own: of this party's own labelled rows.
        rows_ND: what was asked, as with_constant makes it.
        answers_NC: to these; differences less their mean over outputs, or values.
        noise: standard deviation of the noise on each output, in units of the targets.
        ridge: of the joint head.
        total_rows: of both parties.
    """
    start_DC = exact_head(own, ridge)
    left_NC = answers_NC - rows_ND @ start_DC
    kernel_NN = rows_ND @ rows_ND.T
    scale = kernel_NN.diagonal().mean() * (1e-3 + noise**2)
    eye_NN = torch.eye(len(rows_ND), dtype=torch.float64)
    solved_NC: torch.Tensor = torch.linalg.solve(kernel_NN + scale * eye_NN, left_NC)
    return start_DC + rows_ND.T @ solved_NC


def chosen_questions(
    own: Statistics, candidates_ND: torch.Tensor, count: int, generator: torch.Generator
) -> torch.Tensor:
    """(count,) int64: which of the candidates to ask about; all where there are not more."""
    return torch.randperm(len(candidates_ND), generator=generator)[:count]
