"""The estimate of the joint head, against Gaussian processes computed otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal

from smule_crypten.joint_head.estimate import _SCALES, chosen_questions, estimated_head
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant

PENALTY, CLIP, OUTPUTS = 75.0, 6.0, 4


def rows(count: int, seed: int, classes: int = OUTPUTS) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (count, 8) that say the class, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    targets_N = torch.randint(0, classes, (count,), generator=generator)
    centres = torch.randn(OUTPUTS, 8, generator=torch.Generator().manual_seed(1))
    return centres[targets_N] + 0.7 * torch.randn(count, 8, generator=generator), targets_N


def sums(features_NF: torch.Tensor, targets_N: torch.Tensor) -> Statistics:
    total = StatisticsSum(8, OUTPUTS, CLIP)
    total.add(features_NF, one_hot_targets(targets_N, OUTPUTS))
    return total.total()


@pytest.fixture
def both() -> tuple[Statistics, Statistics]:
    """The first party lacks two classes."""
    return sums(*rows(200, 2, classes=2)), sums(*rows(300, 3))


@pytest.mark.parametrize("weight_noise", [0.0, 0.02])
def test_the_estimate_is_a_gaussian_process(both: tuple[Statistics, Statistics], weight_noise: float) -> None:
    """Each output's weights are the posterior mean under the prior scale of highest likelihood, by SciPy's density and
    the textbook's kernel formula in place of a decomposition."""
    own, joint = both[0], both[0] + both[1]
    asked_ND = with_constant(rows(12, 4, classes=2)[0], CLIP)
    generator = torch.Generator().manual_seed(5)
    answers_NC = asked_ND @ exact_head(joint, PENALTY)
    answers_NC = answers_NC + 0.04 * torch.randn(answers_NC.shape, generator=generator)
    answers_NC = answers_NC + weight_noise * asked_ND @ torch.randn(9, OUTPUTS, generator=generator).double()
    found = estimated_head(
        own,
        asked_ND,
        answers_NC,
        noise=0.04,
        weight_noise=weight_noise,
        penalty=PENALTY,
        opening="values",
    ).numpy()

    start = np.linalg.solve(own.gram_DD.numpy() + PENALTY * np.eye(9), own.moments_DC.numpy())
    prior = np.real(sqrtm(own.gram_DD.numpy() / own.rows))
    x, left = asked_ND.numpy(), answers_NC.numpy() - asked_ND.numpy() @ start
    kernel = x @ prior @ x.T
    unit = len(x) / np.trace(kernel)
    noise = weight_noise**2 * x @ x.T + 0.04**2 * np.eye(12)
    for output in range(OUTPUTS):
        scales = [float(scale) * unit for scale in _SCALES]
        fits = [multivariate_normal.logpdf(left[:, output], cov=t * kernel + noise) for t in scales]
        t = scales[int(np.argmax(fits))]
        due = start[:, output] + t * prior @ x.T @ np.linalg.solve(t * kernel + noise, left[:, output])
        assert np.allclose(found[:, output], due, atol=1e-6)


def test_answers_bring_the_estimate_close_to_the_joint_head(both: tuple[Statistics, Statistics]) -> None:
    """With as many exact answers as there are weights it is the joint head; with a few, nearer than the own head; with
    noise beyond all bounds it is what own rows say."""
    own, joint = both[0], both[0] + both[1]
    due = exact_head(joint, PENALTY)

    def off(count: int, noise: float) -> float:
        asked_ND = with_constant(rows(count, 6, classes=2)[0], CLIP)
        answers_NC = asked_ND @ due
        if noise:
            answers_NC = answers_NC + noise * torch.randn(
                answers_NC.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64
            )
        found = estimated_head(
            own,
            asked_ND,
            answers_NC,
            noise=noise,
            weight_noise=0.0,
            penalty=PENALTY,
            opening="values",
        )
        return float((found - due).norm() / due.norm())

    alone = off(0, 0.0)
    assert off(60, 0.0) < 0.02 < off(5, 0.0) < 0.9 * alone
    assert off(60, 0.04) < 0.5 * alone
    assert off(60, 100.0) == pytest.approx(alone, rel=0.05)


def test_questions_are_drawn_once_each() -> None:
    """A repeated question would be paid for twice."""
    chosen = chosen_questions(20, 7, torch.Generator().manual_seed(0))
    assert len(set(chosen.tolist())) == 7
    assert int(chosen.max()) < 20
    assert len(chosen_questions(20, 90, torch.Generator().manual_seed(0))) == 20


def test_outputs_that_are_compared_are_evened_out(both: tuple[Statistics, Statistics]) -> None:
    """Each class's weights are those of values, times one factor: the deviation of its outputs to the power -3/4, and
    what all have in common. So a class of which little is known can still win."""
    own, joint = both[0], both[0] + both[1]
    asked_ND = with_constant(rows(12, 4, classes=2)[0], CLIP)
    answers_NC = asked_ND @ exact_head(joint, PENALTY)
    values, evened = (
        estimated_head(
            own,
            asked_ND,
            answers_NC,
            noise=0.04,
            weight_noise=0.0,
            penalty=PENALTY,
            opening=opening,
        ).numpy()
        for opening in ("values", "differences")
    )
    deviations = np.std(asked_ND.numpy() @ values, axis=0)
    common = np.prod(deviations) ** (0.75 / OUTPUTS)
    assert np.allclose(evened, values * common / deviations**0.75)
