"""What both parties agree on before a solve: sizes, regularisation, and the public numbers of the iteration.

P is the party whose own inverse preconditions (the one with more rows; it says so), Q the other one. With everything
over n, the rows of both, and M_P = G_P / n + ridge I, the head W of (M_P + G_Q / n) W = (H_P + H_Q) / n solves

    A W = B,   A = I + M_P^-1 G_Q / n,   B = M_P^-1 (H_P + H_Q) / n.

A has real eigenvalues: the lowest is at least 1, since G_Q has none below zero. Chebyshev's iteration takes 1 and a
public `bound` for the largest; both are no secrets, and nothing is divided under sharing. In the norm that M_P defines,
what is left of B after T iterations is at most `Attempt.remainder`, if the bound holds. If it does not, the iteration
diverges; the check at its end sees that, and the second attempt has twice the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

PRECISION_BITS = 16
"""Binary digits of matrices and of the iteration's public numbers; what a product is rounded by."""
GAIN_BITS = 4
"""Weights of a head are small, so they have as many digits more: they are held as integers of 2^-VALUE_BITS."""
VALUE_BITS = PRECISION_BITS + GAIN_BITS
CONSTANT_BITS = 16
RING_BITS = 64


@dataclass(frozen=True)
class Attempt:
    """One run of the iteration. bound: for the largest eigenvalue of A."""

    bound: float
    iterations: int

    @cached_property
    def coefficients(self) -> tuple[tuple[int, int], ...]:
        """Of each iteration, how much of the last step it repeats, and how much of what is left of B it goes along.

        In units of 2^-CONSTANT_BITS.
        """
        middle, half = (self.bound + 1) / 2, (self.bound - 1) / 2
        found = [(0.0, 1 / middle)]
        ratio = half / middle
        for _ in range(1, self.iterations):
            following = 1 / (2 * middle / half - ratio)
            found.append((following * ratio, 2 * following / half))
            ratio = following
        unit = 1 << CONSTANT_BITS
        return tuple((round(repeat * unit), round(along * unit)) for repeat, along in found)

    @property
    def remainder(self) -> float:
        """What is left of B at most, as a part of it, if every eigenvalue is within the bound."""
        return 1 / math.cosh(self.iterations * math.acosh((self.bound + 1) / (self.bound - 1)))


@dataclass(frozen=True, kw_only=True)
class SolvePlan:
    """Public; the same at both parties.

    rows: n, of both parties. features: D, the constant one included. outputs: C. ridge: lambda, of everything over n.
    probes: random combinations of what is left that the check opens. tolerance: root of the mean square error of an
    output, on the rows of both parties, that the check accepts; targets are between -1 and 1.
    """

    rows: int
    features: int
    outputs: int
    ridge: float
    bound: float = 32.0
    iterations: int = 14
    probes: int = 16
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if min(self.rows, self.features, self.outputs, self.iterations, self.probes) < 1:
            raise ValueError("rows, features, outputs, iterations and probes of a joint head are 1 at least")
        if not (self.ridge > 0 and self.bound > 1 and self.tolerance > 0):
            raise ValueError("of a joint head, ridge and tolerance are positive, and the bound is above 1")

    @property
    def attempts(self) -> tuple[Attempt, Attempt]:
        """The second one, if the check fails: twice the bound, and as many iterations more as that takes."""
        longer = math.ceil(self.iterations * math.sqrt(2))
        return Attempt(self.bound, self.iterations), Attempt(2 * self.bound, longer)

    @property
    def triangle(self) -> int:
        """Numbers that a symmetric matrix has."""
        return self.features * (self.features + 1) // 2
