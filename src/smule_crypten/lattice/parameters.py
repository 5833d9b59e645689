"""The lattices that are used: one table, with what they are estimated to resist, and by whom.

Polynomials modulo X^N + 1 with coefficients modulo q, uniformly ternary secrets, errors of a centred binomial
distribution. All of the linear layers rest on ring-LWE with these parameters, and on more than that:

- b = a s + e + Delta x and p = P s + e' hide D's share of a layer's input from M: secret s, many samples. Plain
  ring-LWE says so of one layer. Not of all, layer by layer: one s_j serves every layer, and x_D of the next one
  follows from a result whose error, W e + e' u - e1 s, depends on s_j and the errors. So what is assumed is ring-LWE
  with hints, or for messages that depend on the key (KDM); and the ideal function gives the shares of L_W(x) with that
  error, not of L_W(x). Fresh secrets for each layer would leave plain ring-LWE per layer, at a p for each layer: 3.01
  instead of 1.60 KB per query for the reference network, 0.28 instead of 0.16 for a head 1280-128-10 (64 samples).
- c1 = sum_c W_c a_c + P u + e1 hides M's weights from D: ring-LWE with secret u, one sample for each u. But D also
  gets logits in which its own e' and s meet u and e1 (W e + e' u - e1 s): noisy linear hints on (u, e1). The assumption
  is Hint-LWE (Kim, Lee, Seo, Song, CRYPTO 2023, eprint 2023/623): for Gaussian secrets and errors of deviation s1, and
  hints under noise s2 whose matrices have squared singular values of at most B in all, it is as hard as LWE with
  deviation s, where 1 / s^2 = 2 (1 / s1^2 + B / s2^2). `hint_deviation` computes s. The logits' noise makes B / s2^2
  negligible beside 1 / s1^2, so that secret and error both shrink by sqrt(2). To the primal attack that is as if q were
  twice as large: by its formula (uSVP under the geometric series assumption, 0.292 b + 16.4 + log2(8 d)) q = 2^53 with
  hints costs 2.7 bits less than without, and within 0.03 bits what q = 2^54 costs without. So a row with hints is
  judged by the next bit of log q. The lattice-estimator was not run on the smaller secret and error, nor were the dual
  and hybrid attacks. That u is ternary, not Gaussian, is a heuristic step. Hint-LWE is about linear hints, the last
  layer's: errors of hidden layers pass ReLU and a rounding first, which it does not cover; what is left of them in the
  logits is numerically negligible under the noise, not proven to be.

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
LEAST_SECURITY = 128
"""Bits, also with hints, below which no plan is made."""
_ERROR_BITS = 3
"""Bits of the modulus below the guard bits: there an error of ERROR_DEVIATION is at most 1.4 times what a rounding to
the guard bits leaves."""


@dataclass(frozen=True)
class Lattice:
    """A row of the table: polynomials of `degree` coefficients of `modulus_bits` bits.

    security_bits: classical operations, as a power of two, that the best known attack is estimated to need at least.
    with_hints: the same for c1 after D's hints (above); 0 where nobody looked.
    """

    degree: int
    modulus_bits: int
    security_bits: float
    source: str
    with_hints: float = 0.0


_GUIDELINES = (
    "Security Guidelines for Implementing Homomorphic Encryption, eprint 2024/463, table: 128 bits up to log q"
)
LATTICES = (
    Lattice(
        2048,
        44,
        156.7,
        "lattice-estimator (Albrecht, Player, Scott, eprint 2015/046): least of usvp, bdd, dual-hybrid, primal-hybrid; "
        "with hints by the next rows",
        128.0,
    ),
    Lattice(2048, 51, 128.0, f"{_GUIDELINES} = 53, so with hints up to 52", 128.0),
    Lattice(
        2048, 52, 128.0, f"{_GUIDELINES} = 53; the estimator gives 126.3 bits for 54, so no more with hints", 128.0
    ),
    Lattice(4096, 64, 128.0, f"{_GUIDELINES} = 106 (the standard of 2018: 192 up to 75)", 128.0),
)
"""From the smallest."""


def lattice_for(widths: Iterable[int]) -> Lattice:
    """The first lattice in which values of these widths, guard bits included, have room for the error below them.

    In the last one the widest rings have less room: `plan_lattice` refuses those where too little is left.
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
