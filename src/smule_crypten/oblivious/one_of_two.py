"""Transfers of one of two integers of w bits, from one correlated transfer each (Beaver 1995; Asharov et al. 2013).

Random: the sender has two uniform integers, its pads, the receiver the one of its choice. No message.
Times a bit; the results are shares modulo 2^w of c times a, c the receiver's choice, random or turned (turning.py):
1. Sender -> receiver, packed_bytes(n, w): y = pad_0 - pad_1 + a. The sender's share is -pad_0, the receiver's is
   pad_c + c y: pad_0 for c = 0, pad_0 + a for c = 1.

One message; nothing is opened. Whatever the receiver has no pad for is hidden by H. Pads serve one product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smule_crypten.oblivious import turning
from smule_crypten.oblivious.blocks import Bits, Blocks, Bytes, pack_bits, unpack_bits
from smule_crypten.oblivious.cots import Fields, Pads, ReceiverCots, SenderCots, Use, refuse_other_width
from smule_crypten.oblivious.wire import pack_fields, refuse_other_fields, unpack_fields


class ReceiverPads(NamedTuple):
    """choices: packed (ceil(n / 8),); pads: (n,)."""

    choices: Bytes
    pads: Pads


def send_random(cots: SenderCots, width: int) -> Pads:
    """Both integers of each transfer (2, n)."""
    refuse_other_width(width)
    return cots.pads(cots.spend(), multiples(cots.difference), Use.PAIR, width)


def receive_random(cots: ReceiverCots, width: int) -> ReceiverPads:
    """The choices, and the integers that they name."""
    refuse_other_width(width)
    return ReceiverPads(pack_bits(cots.choices), cots.pads(cots.spend(), Use.PAIR, width))


def towards(received: ReceiverPads, choices: Bits) -> tuple[Bytes, ReceiverPads]:
    """The message of flips, ceil(n / 8) bytes, that turns the sender's pads to the choices (n,), and this end then.

    Once: turning.py.
    """
    if choices.shape != received.pads.shape:
        raise ValueError(f"{len(received.pads)} transfers take as many choices, got {choices.shape}")
    packed = pack_bits(choices)
    return received.choices ^ packed, received._replace(choices=packed)


def turned(pads: Pads, flips: Bytes) -> Pads:
    """The sender's pads after the receiver's message."""
    bits = unpack_bits(flips, pads.shape[1]).astype(pads.dtype)
    return turning.turned(pads, [np.zeros_like(bits) - bits])


def send_times_bit(pads: Pads, factors: Fields, width: int) -> tuple[Bytes, Fields]:
    """The message, and the sender's shares of factors times the receiver's choices. factors: uint64 (n,)."""
    refuse_other_fields(factors, pads.shape[1])
    first, second = pads.astype(np.uint64)
    return pack_fields(first - second + factors, width), _modulo(np.uint64(0) - first, width)


def receive_times_bit(received: ReceiverPads, message: Bytes, width: int) -> Fields:
    """The receiver's shares."""
    count = len(received.pads)
    choices = unpack_bits(received.choices, count).astype(np.uint64)
    return _modulo(received.pads + unpack_fields(message, count, width) * choices, width)


def multiples(difference: Blocks) -> Blocks:
    """0 and D (2, 2)."""
    return np.stack([np.zeros_like(difference), difference])


def _modulo(values: Fields, width: int) -> Fields:
    return values & np.uint64((1 << width) - 1)
