"""The joint head as a party guesses it, in the clear and by itself: from own sums, and from the answers that it got.

With G_a, H_a of own rows, the joint head W is not far from W_0 = (G_a + penalty I)^-1 H_a: that is W if the other
party's rows said nothing. Of what is missing, the answers y = X W + noise are all that is known:

    y - X W_0 = X (W - W_0) + X E + noise,

where E is the other party's noise on the weights, of deviation s each. Both kinds of noise together have the covariance
s^2 X X^T + noise^2 I between answers, and are made white first. Each output's column of W - W_0 is taken for normal, of
covariance t S, where S is the root of G_a / n_a: it is larger in directions in which samples differ more. The scale t
of each output is the one under which its answers are most likely, as far as outputs stay within the targets' range;
then the mean of W - W_0 given the answers is added. With much noise, or few answers, that is little, and outputs that
hardly anything is known of would never be the largest: where outputs are compared (classes), each column is divided by
a power of its output's deviation on what was asked.

S, W_0, that power and the questions (drawn uniformly) were chosen by measurement (docs/joint-head.md).
"""

from __future__ import annotations

import torch

from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.types import LogitOpening

_LEAST_NOISE = 0.002
"""On an answer: what the solve leaves of W, and rounding, in units of the targets."""
_POWER = 0.5
"""S as a power of G_a / n_a."""
_EVENED = 0.75
"""The power of an output's deviation that is divided by."""
_SCALES = 0.25 * torch.logspace(-8, 0, 65, dtype=torch.float64)
"""t, as the variance of an output of what was asked: targets are between -1 and 1."""


def estimated_head(
    own: Statistics,
    rows_ND: torch.Tensor,
    answers_NC: torch.Tensor,
    *,
    noise: float,
    weight_noise: float,
    penalty: float,
    opening: LogitOpening,
) -> torch.Tensor:
    """(D, C) float64: the joint head's weights as the answers let one guess them.

    Args:
        own: of this party's own labelled rows.
        rows_ND: what was asked, as with_constant makes it; N may be 0.
        answers_NC: to these, as opening says; differences less their mean over outputs.
        noise: standard deviation of the noise that each answer has of its own, in units of the targets.
        weight_noise: that of E on each weight.
        penalty: of the joint head.
    """
    matrix_DD = own.gram_DD + penalty * torch.eye(own.features, dtype=torch.float64)
    start_DC: torch.Tensor = torch.cholesky_solve(own.moments_DC, torch.linalg.cholesky(matrix_DD))
    if len(rows_ND) == 0 or own.rows == 0:
        return start_DC
    sizes_D, directions_DD = torch.linalg.eigh(own.gram_DD / own.rows)
    root_DD = directions_DD * sizes_D.clamp(min=0) ** (_POWER / 2)
    left_NC = answers_NC.double() - rows_ND @ start_DC
    factor_NN = _noise_factor(rows_ND, max(noise, _LEAST_NOISE), weight_noise)
    added_DC: torch.Tensor = root_DD @ _posterior(rows_ND @ root_DD, left_NC, factor_NN)
    weights_DC = start_DC + added_DC
    return _evened(weights_DC, rows_ND @ weights_DC) if opening == "differences" else weights_DC


def _evened(weights_DC: torch.Tensor, outputs_NC: torch.Tensor) -> torch.Tensor:
    """With outputs of more alike deviation, which stays the same in the mean of logarithms."""
    deviation_C = outputs_NC.std(dim=0, correction=0).clamp(min=1e-6)
    return weights_DC * (deviation_C.log().mean().exp() / deviation_C) ** _EVENED


def _noise_factor(rows_ND: torch.Tensor, noise: float, weight_noise: float) -> torch.Tensor:
    """(N, N), lower triangular: the factor of weight_noise^2 X X^T + noise^2 I."""
    identity_NN = torch.eye(len(rows_ND), dtype=torch.float64)
    factor_NN: torch.Tensor = torch.linalg.cholesky(weight_noise**2 * rows_ND @ rows_ND.T + noise**2 * identity_NN)
    return factor_NN


def _posterior(rows_ND: torch.Tensor, left_NC: torch.Tensor, factor_NN: torch.Tensor) -> torch.Tensor:
    """(D, C): mean of weights of variance t, given left = rows weights + noise; t of each output by its evidence.

    Args:
        factor_NN: of the noise's covariance.
    """
    scales_T = _SCALES * len(rows_ND) / rows_ND.square().sum()
    white_ND, white_NC = (
        torch.linalg.solve_triangular(factor_NN, values, upper=False) for values in (rows_ND, left_NC)
    )
    left_NK, sizes_K, right_KD = torch.linalg.svd(white_ND, full_matrices=False)
    along_KC = left_NK.T @ white_NC
    variance_TK = scales_T.unsqueeze(1) * sizes_K.square() + 1
    # What lies outside of the rows' span is noise under every t.
    evidence_TC = -(1 / variance_TK) @ along_KC.square() - variance_TK.log().sum(dim=1, keepdim=True)
    scale_C = scales_T[evidence_TC.argmax(dim=0)]
    shrunk_KC = scale_C * sizes_K.unsqueeze(1) / (scale_C * sizes_K.square().unsqueeze(1) + 1)
    mean_DC: torch.Tensor = right_KD.T @ (shrunk_KC * along_KC)
    return mean_DC


def chosen_questions(num_candidates: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Which of the candidates to ask about, positions (count,) int64, drawn uniformly; all where there are not more."""
    return torch.randperm(num_candidates, generator=generator)[:count]
