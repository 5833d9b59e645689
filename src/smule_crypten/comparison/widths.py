"""How many bits a non-linear layer has to do with, and everything public that follows from that.

z = c - r / 2^t modulo 2^w: M holds c (w bits, whole units), D holds r (w + t bits, units of 2^-t). The result is shared
modulo 2^(k + t), in units of 2^-t.

The sign of z is that of floor(z) = c - ceil(r / 2^t): the two highest bits, and whether the low w - 1 bits of
ceil(r / 2^t) are greater than those of c. These low bits are compared in digits of two bits, highest first; where
w - 1 is odd the lowest digit has three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smule_crypten.oblivious.cots import Fields


@dataclass(frozen=True)
class Widths:
    """width: w; guard_bits: t; ring: k.

    A share of D that is not known beforehand is masked in all its bits, and both then hold w + t bits: such a layer is
    Widths(w + t, 0, k + t).
    """

    width: int
    guard_bits: int
    ring: int

    def __post_init__(self) -> None:
        if self.width < 3 or self.guard_bits < 0 or not self.width <= self.ring <= 64 - self.guard_bits:
            raise ValueError(f"3 <= width <= ring and ring + guard_bits <= 64 are due, got {self}")

    @property
    def fine(self) -> int:
        """Bits of a share of D: w + t."""
        return self.width + self.guard_bits

    @property
    def extension(self) -> int:
        """Bits by which the ring grows."""
        return self.ring - self.width

    @property
    def pairs(self) -> int:
        """Digits of two bits."""
        return (self.width - 1) // 2 - self.has_triple

    @property
    def has_triple(self) -> bool:
        """Whether the lowest digit has three bits."""
        return (self.width - 1) % 2 == 1

    @property
    def digits(self) -> int:
        return self.pairs + self.has_triple

    @property
    def levels(self) -> int:
        """Of the AND tree over the digits."""
        return (self.digits - 1).bit_length()

    @property
    def gates(self) -> int:
        """Of the AND tree."""
        return self.digits - 1

    @property
    def hints(self) -> int:
        """Candidates for which M says its highest bit: both, where it cannot know beta yet (relu.py)."""
        if not self.extension:
            return 0
        return 2 if self.levels % 2 == 0 else 1


def modulo(values: Fields, bits: int) -> Fields:
    """The low `bits` bits (1 to 64)."""
    return values & np.uint64((1 << bits) - 1)


def row_bytes(count: int) -> int:
    """One bit of each of `count` values, filled up to a byte."""
    return -(-count // 8)


def require_as_many(share: Fields, count: int) -> None:
    """One mask for each value: a single one would be spread over all of them, and their differences told.

    Raises:
        ValueError: share is not of shape (count,).
    """
    if share.shape != (count,):
        raise ValueError(f"a share of shape {share.shape} is not the {count} values that were prepared for")
