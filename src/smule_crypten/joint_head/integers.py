"""Own matrices as integers, and rounding of a shared product: the arithmetic that solve and ideal function share.

Everything is int64 in two's complement, exact modulo 2^64. Matrices have PRECISION_BITS binary digits, what is solved
for VALUE_BITS.
"""

from __future__ import annotations

import torch

from smule_crypten.errors import TrainingError
from smule_crypten.joint_head.plan import PRECISION_BITS, VALUE_BITS, SolvePlan
from smule_crypten.joint_head.statistics import Statistics

_MOST_BITS = 40
"""Of an own number. Entries of a clipped matrix have some 25; beyond this, products would leave the ring."""
_MOST_OFF = 0.1
"""Of L^T K L from the identity, M = L L^T and K the inverse as integers: by what part of itself W may be off for that,
in the norm that M defines."""


def own_gram(statistics: Statistics, plan: SolvePlan) -> torch.Tensor:
    """Q's G / n, int64 (D, D), symmetric."""
    return _encoded(statistics.gram_DD / plan.rows, PRECISION_BITS)


def own_moments(statistics: Statistics, plan: SolvePlan) -> torch.Tensor:
    """H / n, int64 (D, C)."""
    return _encoded(statistics.moments_DC / plan.rows, VALUE_BITS)


def own_matrix(statistics: Statistics, plan: SolvePlan) -> torch.Tensor:
    """P's M = G / n + ridge I, float64 (D, D)."""
    return statistics.gram_DD / plan.rows + plan.ridge * torch.eye(plan.features, dtype=torch.float64)


def own_inverse(statistics: Statistics, plan: SolvePlan) -> torch.Tensor:
    """P's M^-1, int64 (D, D), symmetric.

    Raises:
        TrainingError: M is so large in some direction that rounded entries do not hold its inverse there. The check at
            the end of a solve would not see it: it holds W against the rounded inverse.
    """
    factor = torch.linalg.cholesky(own_matrix(statistics, plan))
    inverse = torch.cholesky_inverse(factor)
    integers = _encoded((inverse + inverse.T) / 2, PRECISION_BITS)
    off = float((factor.T @ (integers.double() / 2.0**PRECISION_BITS) @ factor - torch.eye(len(factor))).norm())
    if off > _MOST_OFF:
        raise TrainingError(
            f"the joint head's own sums are so uneven that its inverse is off by {off:.2g} of one in its "
            f"{PRECISION_BITS} bits, where {_MOST_OFF:g} is allowed; standardise the features, or lower the norm that "
            "they are clipped to"
        )
    return integers


def own_probes(statistics: Statistics, plan: SolvePlan, normal_JD: torch.Tensor) -> torch.Tensor:
    """P's probes L g, int64 (J, D), for standard normal g, and M = L L^T.

    (L g)^T r is normal, with the variance r^T M r. For what is left r = B - A W of one output, that is at
    least the mean square, over the rows of both parties, of what W is off the solution there.
    """
    return _encoded(normal_JD @ torch.linalg.cholesky(own_matrix(statistics, plan)).T, PRECISION_BITS)


def own_part(inverse_DD: torch.Tensor, moments_DC: torch.Tensor) -> torch.Tensor:
    """M^-1 H, where one party has both, rounded to the nearest."""
    return (inverse_DD @ moments_DC + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS


def rounded_down(share: torch.Tensor, bits: int) -> torch.Tensor:
    """The first party's share of z / 2^bits, from its share of z."""
    return share >> bits


def rounded_up(share: torch.Tensor, bits: int) -> torch.Tensor:
    """The second party's.

    Where the first party's share is uniform, the sum is floor(z / 2^bits), or one more with the probability of what was
    cut off: exact in the mean. With the probability |z| / 2^64 a share wraps, and the sum is off by 2^(64 - bits).
    """
    return -(-share >> bits)


def rounded_with(z: torch.Tensor, share: torch.Tensor, bits: int) -> torch.Tensor:
    """What both parties' shares of z / 2^bits add up to, if the first one's share of z is this."""
    return rounded_down(share, bits) + rounded_up(z - share, bits)


def as_weights(integers_DC: torch.Tensor) -> torch.Tensor:
    """A head in float64, from its integers in the clear."""
    return integers_DC.double() / (1 << VALUE_BITS)


def _encoded(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Rounded to the nearest.

    Raises:
        TrainingError: not finite, or far too large.
    """
    scaled = (values * 2.0**bits).round()
    if not bool((scaled.abs() < 2.0**_MOST_BITS).all()):
        raise TrainingError(
            f"the joint head's own sums reach {float(values.abs().max()):.3g}, more than its {_MOST_BITS - bits} bits; "
            "standardise the features, or lower the norm that they are clipped to"
        )
    return scaled.long()
