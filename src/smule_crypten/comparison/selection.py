"""A shared value times a shared bit: one correlated transfer for each party's share.

z = 2^t c + v modulo 2^(w + t), with M's c in w bits and D's v in w + t bits. x_M and x_D are the parties' own uniform
choices in one transfer of each instance, as drawn; s = x_M xor x_D is uniform to both.

Before the images (D knows v):
1. D -> M, w + t bits per value: the product of s and v. D sends (one_of_two.py, times a bit) the factor (1 - 2 x_D) v
   for M's choice x_M, and adds x_D v to its share: s v = x_D v + x_M (1 - 2 x_D) v.
Online:
2. M -> D, w bits per value: the product of s and c in the same way. Both now hold shares of s z modulo 2^(w + t).
3. Both open beta = b xor s, one bit per party, where b is the shared bit. Share by share, b z = beta z +
   (1 - 2 beta) s z.

What crosses in 1 and 2 is uniform by pads, beta by the other party's choice. No failure.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.comparison.widths import modulo
from smule_crypten.oblivious.blocks import Bits, Bytes
from smule_crypten.oblivious.cots import Fields, Pads
from smule_crypten.oblivious.one_of_two import ReceiverPads, receive_times_bit, send_times_bit

_ONE = np.uint64(1)


def send_masked_product(pads: Pads, own: Bits, values: Fields, width: int) -> tuple[Bytes, Fields]:
    """Steps 1 and 2 at the owner of the values, whose choices are `own`: the message, and its share of s values."""
    chosen: Fields = values * own
    message, share = send_times_bit(pads, values - (chosen << _ONE), width)
    chosen += share
    return message, modulo(chosen, width)


def receive_masked_product(pads: ReceiverPads, message: Bytes, width: int) -> Fields:
    """The other party's share; its choices are those of the pads."""
    return receive_times_bit(pads, message, width)


def selected(value: Fields, masked: Fields, beta: Bits, width: int) -> Fields:
    """Step 3: the share of b z, from those of z and of s z."""
    result: Fields = value - masked
    result -= masked
    result &= np.uint64(0) - beta.astype(np.uint64)
    result += masked
    return modulo(result, width)
