"""Transfers of one bit of eight, from three correlated transfers each, as one_of_four.py does with two.

Blocks are vectors over the field of 16 elements, F_2[y] modulo y^4 + y + 1: four words of 32 bits, the coefficients.
Three transfers with the choices c0, c1 and c2 combine to one with v = c0 + c1 y + c2 y^2: Q = q0 + y q1 + y^2 q2 at the
sender, Q + v D at the receiver. Its eight pads are H(Q + u D, tweak); any two differ by a multiple of D by an element
that is not zero, and so invertible: it is as hard to guess as D. The number in the tweak is that of the first of the
three transfers. 0 bytes; the batch is turned to the choices before.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.oblivious.blocks import Bits, Blocks, marks
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots, Use

TRANSFERS = 3
"""Correlated transfers that one of eight takes: the low bits of all choices, the middle ones, the high ones."""

_WORD = np.uint64(32)


def send_bits(cots: SenderCots) -> list[Bits]:
    """The pads of one bit of each transfer, of a batch of 3 n: 8 x (n,)."""
    combined = _combined(cots.spend())
    zero = np.zeros_like(cots.difference)
    multiples = [
        _combined(np.stack([cots.difference if u >> bit & 1 else zero for bit in range(TRANSFERS)])) for u in range(8)
    ]
    return [marks(cots.hashed(combined ^ multiple, Use.TABLE)) for multiple in multiples]


def receive_bits(cots: ReceiverCots) -> Bits:
    """The pads of its choices (n,)."""
    return marks(cots.hashed(_combined(cots.spend()), Use.TABLE))


def _combined(blocks: Blocks) -> Blocks:
    """q0 + y q1 + y^2 q2 = q0 + y (q1 + y q2), of blocks (3 n, 2)."""
    low, middle, high = np.split(blocks, TRANSFERS)
    result: Blocks = low ^ _times_y(middle ^ _times_y(high))
    return result


def _times_y(blocks: Blocks) -> Blocks:
    """Coefficients one place up; the highest comes back at 1 and at y."""
    result = np.empty_like(blocks)
    highest = blocks[..., 1] >> _WORD
    result[..., 0] = (blocks[..., 0] << _WORD) ^ highest ^ (highest << _WORD)
    result[..., 1] = (blocks[..., 1] << _WORD) ^ (blocks[..., 0] >> _WORD)
    return result
