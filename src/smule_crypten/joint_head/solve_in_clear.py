"""The head in the clear: exact, and as the protocol computes it, which is the protocol's ideal function.

The ideal function gives P and Q additive shares of W, uniform modulo 2^64, where W is what `solve` computes with
uniform `shares`: these decide how each rounding falls. P knows its own share of every product, so the low bits that
decide; what was rounded it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from smule_crypten.joint_head.integers import own_part, rounded_with
from smule_crypten.joint_head.plan import CONSTANT_BITS, PRECISION_BITS, RING_BITS, Attempt
from smule_crypten.joint_head.statistics import Statistics

UniformShares = Callable[[tuple[int, ...]], torch.Tensor]
"""P's share of a product of this size before it is rounded: uniform int64."""


@dataclass(eq=False)
class Range:
    """Of all numbers that were rounded. wraps: how many of them are expected to wrap in a ring of 64 bits."""

    largest: int = 0
    count: int = 0
    _total: float = field(default=0.0, repr=False)

    def see(self, z: torch.Tensor) -> None:
        sizes = z.double().abs()
        self.largest = max(self.largest, int(sizes.max()))
        self.count += z.numel()
        self._total += float(sizes.sum())

    @property
    def largest_bits(self) -> float:
        """log2 of the largest size."""
        return math.log2(max(1, self.largest))

    def wraps(self, ring_bits: int = RING_BITS) -> float:
        return self._total / 2.0**ring_bits


@dataclass(frozen=True, eq=False)
class Solution:
    """weights_DC: W. left_DC: B - A W, computed afresh from W. Both int64 of VALUE_BITS binary digits."""

    weights_DC: torch.Tensor
    left_DC: torch.Tensor
    range: Range


def exact_head(statistics: Statistics, penalty: float) -> torch.Tensor:
    """(G + penalty I) W = H over the statistics' own rows, float64 (D, C)."""
    matrix = statistics.gram_DD + penalty * torch.eye(statistics.features, dtype=torch.float64)
    return torch.cholesky_solve(statistics.moments_DC, torch.linalg.cholesky(matrix))


def solve(
    inverse_DD: torch.Tensor,
    gram_DD: torch.Tensor,
    moments_P: torch.Tensor,
    moments_Q: torch.Tensor,
    attempt: Attempt,
    shares: UniformShares,
) -> Solution:
    """One attempt, in the protocol's integers. inverse_DD, moments_P of P; gram_DD, moments_Q of Q (integers.py).

    Roundings, in this order: of B; then in each iteration of its step, of G_Q W and of M_P^-1 times that.
    """
    found = Range()

    def rounded(z: torch.Tensor, bits: int = PRECISION_BITS) -> torch.Tensor:
        found.see(z)
        return rounded_with(z, shares(tuple(z.shape)), bits)

    right = own_part(inverse_DD, moments_P) + rounded(inverse_DD @ moments_Q)
    weights, step, left = torch.zeros_like(right), torch.zeros_like(right), right
    for repeat, along in attempt.coefficients:
        step = rounded(step * repeat + left * along, CONSTANT_BITS)
        weights = weights + step
        left = right - weights - rounded(inverse_DD @ rounded(gram_DD @ weights))
    return Solution(weights, left, found)
