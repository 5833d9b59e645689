"""AND triples of bits: xor shares of a, b and c = a and b, with a and b uniform and unknown to both parties.

b may have several bits, each with a product of its own with the same a: they take no more transfers than one.

From one random transfer in each direction (Asharov et al., CCS 2013, section 5.1), without a message:
1. In the transfer where this party is the receiver it has the choice x and the bit m_x; where it is the sender, m_0
   and m_1, as wide as b.
2. Its share of a is x, its share of b is m_0 xor m_1. The receiver's x times the sender's (m_0 xor m_1) is
   m_0 xor m_x: a share at each.
3. Its share of c is (its a)(its b) xor m_x (as the receiver) xor m_0 (as the sender).

0 bytes, 0 rounds; nothing is opened. One correlated transfer of each direction a triple.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.blocks import Bytes, pack_rows
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots


class Triples(NamedTuple):
    """One party's shares, a row packed by itself: a (rows, ceil(count / 8)), b and c (width, rows, ...)."""

    a: Bytes
    b: Bytes
    c: Bytes


def make_triples(sending: SenderCots, receiving: ReceiverCots, width: int, count: int) -> Triples:
    """In rows of `count` each. width: of b and c, 1 to 8 bits.

    sending: of the instance where this party is the sender; receiving: of the other one, as many: rows * count.
    """
    if len(sending) != len(receiving):
        raise ValueError(f"as many transfers of both directions are due, got {len(sending)} and {len(receiving)}")
    a = pack_rows(receiving.choices, count)
    got = _planes(one_of_two.receive_random(receiving, width).pads, width, count)
    zeros, ones = (_planes(side, width, count) for side in one_of_two.send_random(sending, width))
    b = zeros ^ ones
    return Triples(a, b, (a & b) ^ got ^ zeros)


def _planes(pads: Pads, width: int, count: int) -> Bytes:
    """Bit after bit of pads (rows * count,): (width, rows, ceil(count / 8))."""
    return np.stack([pack_rows(pads.astype(np.uint8, copy=False) >> np.uint8(bit), count) for bit in range(width)])
