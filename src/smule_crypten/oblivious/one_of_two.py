"""Transfers of one of two integers of w bits, from one correlated transfer each (Beaver 1995; Asharov et al. 2013).

Random: the sender has two uniform integers, the receiver the one of its choice. No message.
Chosen, on a batch turned to the receiver's choices c:
1. Sender -> receiver, 2 packed_bytes(n, w): (m_0 xor pad_0), then (m_1 xor pad_1). The receiver has pad_c.
Times a bit, on a turned batch; the results are shares modulo 2^w of c times a:
1. Sender -> receiver, packed_bytes(n, w): y = pad_0 - pad_1 + a. The sender's share is -pad_0, the receiver's is
   pad_c + c y: pad_0 for c = 0, pad_0 + a for c = 1.

One message after that of the turning; nothing is opened. Whatever the receiver has no pad for is hidden by H.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots, Use, fields
from smule_crypten.oblivious.wire import pack_fields, packed_bytes, unpack_fields


def chosen_bytes(count: int, width: int) -> int:
    return 2 * packed_bytes(count, width)


def times_bit_bytes(count: int, width: int) -> int:
    return packed_bytes(count, width)


def send_random(cots: SenderCots, width: int) -> tuple[Fields, Fields]:
    """Both integers of each transfer."""
    blocks = cots.spend()
    pads = [cots.hashed(candidate, Use.PAIR) for candidate in (blocks, blocks ^ cots.difference)]
    return fields(pads[0], width), fields(pads[1], width)


def receive_random(cots: ReceiverCots, width: int) -> Fields:
    """The integer that `cots.choices` names."""
    return fields(cots.hashed(cots.spend(), Use.PAIR), width)


def send_chosen(cots: SenderCots, first: Fields, second: Fields, width: int) -> Bytes:
    """The message, for the integers of choice 0 and of choice 1."""
    pads = send_random(cots, width)
    return np.concatenate([pack_fields(first ^ pads[0], width), pack_fields(second ^ pads[1], width)])


def receive_chosen(cots: ReceiverCots, message: Bytes, width: int) -> Fields:
    count, choices = len(cots), cots.choices
    sides = np.split(message, 2)
    first, second = (unpack_fields(side, count, width) for side in sides)
    return first ^ ((first ^ second) * choices.astype(np.uint64)) ^ receive_random(cots, width)


def send_times_bit(cots: SenderCots, factors: Fields, width: int) -> tuple[Bytes, Fields]:
    """The message, and the sender's shares of factors times the receiver's choices."""
    first, second = send_random(cots, width)
    return pack_fields(first - second + factors, width), _modulo(np.uint64(0) - first, width)


def receive_times_bit(cots: ReceiverCots, message: Bytes, width: int) -> Fields:
    """The receiver's shares."""
    count, choices = len(cots), cots.choices
    offered = unpack_fields(message, count, width) * choices.astype(np.uint64)
    return _modulo(receive_random(cots, width) + offered, width)


def _modulo(values: Fields, width: int) -> Fields:
    return values & np.uint64((1 << width) - 1)
