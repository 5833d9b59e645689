"""Transfers of one of eight integers of w bits, from three correlated transfers each, as one_of_four.py does with two.

Blocks are vectors over the field of 16 elements, F_2[y] modulo y^4 + y + 1: four words of 32 bits, the coefficients.
Three transfers with the choices c0, c1 and c2 combine to one with v = c0 + c1 y + c2 y^2: Q = q0 + y q1 + y^2 q2 at the
sender, Q + v D at the receiver. Its eight pads are H(Q + u D, tweak); any two differ by a multiple of D by an element
that is not zero, and so invertible: it is as hard to guess as D. The number in the tweak is that of the first of the
three transfers. 0 bytes; pads are turned afterwards (turning.py).
"""

from __future__ import annotations

import numpy as np

from smule_crypten.oblivious.blocks import Blocks
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots, Use, refuse_other_width

TRANSFERS = 3
"""Correlated transfers that one of eight takes: the low bits of all choices, the middle ones, the high ones."""

_WORD = np.uint64(32)


def send_random(cots: SenderCots, width: int) -> Pads:
    """All eight pads of each value, of a batch of 3 n (8, n)."""
    refuse_other_width(width)
    zero = np.zeros_like(cots.difference)
    multiples = [
        _combined(np.stack([cots.difference if u >> bit & 1 else zero for bit in range(TRANSFERS)])) for u in range(8)
    ]
    return cots.pads(_combined(cots.spend()), np.concatenate(multiples), Use.TABLE, width)


def receive_random(cots: ReceiverCots, width: int) -> Pads:
    """The pads of its choices (n,)."""
    refuse_other_width(width)
    return cots.pads(_combined(cots.spend()), Use.TABLE, width)


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
