"""Polynomials modulo X^N + 1 and q = 2^bits: what is drawn at random, and exact products.

A polynomial is int64 (..., N), lowest coefficient first; residues are read in two's complement. A product of which one
factor is ternary goes by a Fourier transform of N / 2 complex numbers in float64: the other factor is cut into limbs so
narrow that no sum is off by half a unit. A bound says so beforehand, and every product is checked against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.lattice.parameters import ERROR_COINS
from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream

EXACT_BITS = 53
"""Of an integer that float64 holds."""
_TERNARY_BITS = 61
"""Of a uniform number from which a ternary one is made: no rejection, and a bias below 2^-60."""
_MOST_RESIDUE = 0.25
"""How far a sum may be from an integer; half a unit would be ambiguous."""


def uniform(stream: Stream, count: int, degree: int, modulus_bits: int) -> torch.Tensor:
    """Uniform polynomials (count, N)."""
    return signed(stream.packed(count * degree, modulus_bits), modulus_bits).view(count, degree)


def ternary(stream: Stream, count: int, degree: int) -> torch.Tensor:
    """Polynomials (count, N) of coefficients -1, 0 and 1, equally likely: floor(3 x / 2^61) - 1 for x of 61 bits."""
    thirds = (stream.bits((count, degree), _TERNARY_BITS) * 3) >> _TERNARY_BITS
    return thirds - 1


def errors(stream: Stream, size: tuple[int, ...]) -> torch.Tensor:
    """Centred binomial coefficients: heads of ERROR_COINS coins less their expectation."""
    coins = stream.packed(math.prod(size), ERROR_COINS).view(size)
    return _bit_counts(coins) - ERROR_COINS // 2


def rounded(values: torch.Tensor, modulus_bits: int, kept_bits: int) -> torch.Tensor:
    """The highest bits of residues, rounded to the nearest, halves up: integers modulo 2^kept_bits."""
    dropped = modulus_bits - kept_bits
    return signed((values + ((1 << dropped) >> 1)) >> dropped, kept_bits)


def limb_width(bits: int, most: int) -> tuple[int, int]:
    """How many limbs of at most `most` bits numbers of `bits` bits are cut into, and the width of one."""
    count = -(-bits // most)
    return count, -(-bits // count)


def limbs(values: torch.Tensor, count: int, width: int) -> list[torch.Tensor]:
    """Signed digits at base 2^width, lowest first, as float64: values = sum of limb_i 2^(i width), modulo 2^64."""
    found = []
    for _ in range(count - 1):
        low = signed(values, width)
        found.append(low.double())
        values = (values - low) >> width
    return [*found, values.double()]


@dataclass(frozen=True)
class Spectrum:
    """Transformed polynomials: complex128 (limbs, ..., N / 2), where limb i stands 2^(i width) higher."""

    values: torch.Tensor
    width: int

    def beside_several(self) -> Spectrum:
        """A polynomial (N,) with an axis for several others."""
        return Spectrum(self.values.unsqueeze(1), self.width)

    def __getitem__(self, index: int) -> Spectrum:
        """Of the polynomials at this place of the first axis."""
        return Spectrum(self.values[:, index], self.width)


def exact_limb_bits(degree: int) -> int:
    """The widest limb whose product with a ternary polynomial stays within a quarter of a unit.

    Rounding errors of a product by transforms of length n = N / 2 are below |a| |s| eps (3 l + sqrt(5) (3 l + 1) + 3 l)
    for l = log2 n, eps = 2^-53 (Percival, 2003; Brent, Percival, Zimmermann, 2007); the twists that make it negacyclic
    are two more multiplications. 16 log2 N covers them; |a| |s| <= 2^(bits - 1) N.
    """
    growth = math.log2(degree) + math.log2(16 * math.log2(degree))
    return math.floor(EXACT_BITS + math.log2(_MOST_RESIDUE) - growth) + 1


def spectrum(values: torch.Tensor, bits: int) -> Spectrum:
    """Of polynomials (..., N) whose coefficients have `bits` bits, in two's complement."""
    degree = values.size(-1)
    count, width = limb_width(bits, exact_limb_bits(degree))
    cut = torch.stack(limbs(values, count, width))
    folded = torch.complex(cut[..., : degree // 2], cut[..., degree // 2 :])
    return Spectrum(torch.fft.ifft(folded * _twist(degree), norm="forward"), width)


def product(one: Spectrum, other: Spectrum, picked: torch.Tensor | None = None) -> torch.Tensor:
    """The product modulo X^N + 1 and 2^64, int64 (..., N), or its coefficients `picked` (..., n).

    Polynomials beside each other are broadcast. One of the two factors is ternary, so it has a single limb.

    Raises:
        ProtocolError: neither factor has.
    """
    if min(len(one.values), len(other.values)) > 1:
        raise ProtocolError("a product of polynomials takes a ternary factor; both have coefficients of several limbs")
    width = one.width if len(one.values) > 1 else other.width
    sums = torch.fft.fft(one.values * other.values, norm="forward")
    degree = 2 * sums.size(-1)
    untwisted = torch.view_as_real(sums * _twist(degree).conj()).movedim(-1, -2).flatten(-2)
    if picked is not None:
        untwisted = untwisted.index_select(-1, picked)
    whole = untwisted.round()
    # Sums beyond 2^52 have no fraction that could show.
    if float((untwisted - whole).abs().max()) > _MOST_RESIDUE or float(whole.abs().max()) > 2.0 ** (EXACT_BITS - 1):
        raise ArithmeticError("a product of polynomials is not exact in float64: its factors are larger than declared")
    total = whole[0].long()
    for number in range(1, len(whole)):
        total = total + (whole[number].long() << (number * width))
    return total


@lru_cache(maxsize=8)
def _twist(degree: int) -> torch.Tensor:
    """exp(i pi k / N): with it, a transform takes a(X) at half of the roots of X^N + 1, those where X^(N/2) = i."""
    angles = torch.arange(degree // 2, dtype=torch.float64) * (math.pi / degree)
    return torch.polar(torch.ones_like(angles), angles)


def _bit_counts(values: torch.Tensor) -> torch.Tensor:
    """How many bits of each of `values` (below 2^62) are set, by adding neighbours of 1, 2, 4, ... bits."""
    values = values - ((values >> 1) & 0x5555555555555555)
    values = (values & 0x3333333333333333) + ((values >> 2) & 0x3333333333333333)
    values = (values + (values >> 4)) & 0x0F0F0F0F0F0F0F0F
    for shift in (8, 16, 32):
        values = values + (values >> shift)
    return values & 0x7F
