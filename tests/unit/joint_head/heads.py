"""Digits, split between two parties as unevenly as wished, and their statistics."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from smule_crypten.joint_head.integers import own_gram, own_inverse, own_moments
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream

CLIP_NORM = 12.0
RIDGE = 0.15


def stream(seed: int, purpose: str) -> Stream:
    return Stream(insecure_key(seed, purpose))


@cache
def digits(features: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (N, F), each standardised by one public constant, and classes."""
    data = load_digits()
    pixels = torch.tensor(data.data[:, :features] / 6 - 0.8, dtype=torch.float32)
    return pixels, torch.tensor(data.target)


def dirichlet_split(classes_N: torch.Tensor, alpha: float, seed: int) -> torch.Tensor:
    """(N,) bool: whose rows are party a's."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([alpha, alpha], size=10)[:, 0]
    return torch.tensor(rng.random(len(classes_N)) < shares[classes_N.numpy()])


def statistics_of(features_NF: torch.Tensor, classes_N: torch.Tensor) -> Statistics:
    total = StatisticsSum(features_NF.size(1), 10, CLIP_NORM)
    total.add(features_NF, one_hot_targets(classes_N, 10))
    return total.total()


def parties(alpha: float = 0.5, seed: int = 0, features: int = 64, train: int = 1200) -> tuple[Statistics, Statistics]:
    """Of P, who has more rows, and of Q."""
    features_NF, classes_N = digits(features)
    features_NF, classes_N = features_NF[:train], classes_N[:train]
    is_a = dirichlet_split(classes_N, alpha, seed)
    both = [statistics_of(features_NF[part], classes_N[part]) for part in (is_a, ~is_a)]
    both.sort(key=lambda one: -one.rows)
    return both[0], both[1]


def accuracy(weights_DC: torch.Tensor, train: int = 1200) -> float:
    """On the digits that nobody learned from."""
    features_NF, classes_N = digits(len(weights_DC) - 1)
    logits_NC = with_constant(features_NF[train:], CLIP_NORM) @ weights_DC
    return float((logits_NC.argmax(dim=1) == classes_N[train:]).double().mean())


def plan_of(first: Statistics, second: Statistics, **changes: float) -> SolvePlan:
    sizes = {"rows": first.rows + second.rows, "features": first.features, "outputs": first.outputs}
    return SolvePlan(**sizes | {"ridge": RIDGE} | changes)  # type: ignore[arg-type]


def integers(
    first: Statistics, second: Statistics, plan: SolvePlan
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """What `solve` takes."""
    return own_inverse(first, plan), own_gram(second, plan), own_moments(first, plan), own_moments(second, plan)
