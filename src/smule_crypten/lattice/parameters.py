"""The lattices that are used: one table, with what they are estimated to resist, and by whom.

Polynomials modulo X^N + 1 with coefficients modulo q, uniformly ternary secrets, errors of a centred binomial
distribution. All of the linear layers rest on ring-LWE with these parameters:

- b = a s + e + Delta x and p = P s + e' hide D's share of a layer's input from M: ring-LWE with secret s, many samples.
- c1 = sum_c W_c a_c + P u + e1 hides M's weights from D: ring-LWE with secret u, one sample for each u. But D also
  gets logits in which its own e' and s meet u and e1 (W e + e' u - e1 s): noisy linear hints on (u, e1). The assumption
  is Hint-LWE (Kim, Lee, Seo, Song, CRYPTO 2023, eprint 2023/623): for Gaussian secrets and errors of deviation s1, and
  hints under noise s2 whose matrices have squared singular values of at most B in all, it is as hard as LWE with
  deviation s, where 1 / s^2 = 2 (1 / s1^2 + B / s2^2). `hint_deviation` computes s. The logits' noise makes B / s2^2
  negligible beside 1 / s1^2, so that the loss is the factor sqrt(2) in the error: half a bit of log q, some 1.5 bits of
  the estimate. That u is ternary, not Gaussian, is a heuristic step.

Semi-honest parties only: a malformed c1, or a perturbed b, is outside of what is promised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

ERROR_COINS = 42
"""An error is the number of heads of so many fair coins, less half of them."""
ERROR_DEVIATION = math.sqrt(ERROR_COINS) / 2
"""3.24."""
TERNARY_VARIANCE = 2 / 3
GUARD_BITS = 6
"""t: how many more bits than its whole units D's share of a hidden value keeps. What D drops it knows, and secret
weights multiply it. The same holds of an error e: q has to be so large that e, too, is a small part of a unit."""
_ERROR_BITS = 3
"""Bits of the modulus below the guard bits: there an error of ERROR_DEVIATION is at most 1.4 times what a rounding to
the guard bits leaves."""


@dataclass(frozen=True)
class Lattice:
    """A row of the table: polynomials of `degree` coefficients of `modulus_bits` bits.

    security_bits: classical operations, as a power of two, that the best known attack is estimated to need at least.
    """

    degree: int
    modulus_bits: int
    security_bits: float
    source: str


LATTICES = (
    Lattice(
        2048,
        44,
        156.7,
        "lattice-estimator (Albrecht, Player, Scott, eprint 2015/046): least of usvp, bdd, dual-hybrid, primal-hybrid",
    ),
    Lattice(2048, 51, 128.0, "by the next row: the same degree, with a smaller modulus"),
    Lattice(2048, 53, 128.0, "Security Guidelines for Implementing Homomorphic Encryption, eprint 2024/463, table"),
    Lattice(4096, 64, 128.0, "the same, which has 128 bits up to log q = 106 (the standard of 2018: 192 up to 75)"),
)
"""From the smallest; the last one takes every ring that a program can have."""


def lattice_for(widths: Iterable[int]) -> Lattice:
    """The first lattice in which values of these widths, guard bits included, have room for the error below them.

    In the last one the widest rings have less room: `Plan.known_deviation` says what is then left.
    """
    needed = max(widths) + _ERROR_BITS
    return next((lattice for lattice in LATTICES if needed <= lattice.modulus_bits), LATTICES[-1])


def hint_deviation(lattice: Lattice, answers: int, error_deviation: float, noise_deviation: float) -> float:
    """The deviation s of the LWE problem that c1 is as hard as, with so many answers seen.

    Args:
        error_deviation: of e' with its rounding, the larger of what D multiplies u and e1 with (e' and s).
        noise_deviation: of M's noise on an answer, in the same units (coefficients modulo q).
    """
    # Squared singular values of the product with a random polynomial are |p(root)|^2: on average N times the variance
    # of a coefficient, the largest of N about ln N times that.
    largest = error_deviation**2 * lattice.degree * math.log(lattice.degree)
    inverse = 2 * (1 / ERROR_DEVIATION**2 + answers * largest / noise_deviation**2)
    return 1 / math.sqrt(inverse)
