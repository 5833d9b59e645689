"""To a wider ring: shares modulo 2^n of a value that is not negative become shares modulo 2^(n + e).

0 <= v < 2^(n - 1), v = v_M + v_D - 2^n wrap. As v has no highest bit, a sum that does not wrap comes of two shares
without one, and a share with one makes it wrap: wrap = m or d = d + m (1 - d), the highest bits of v_M and v_D.

1. M -> D, 1 bit: the flip that turns the pads of one correlated transfer, D the sender, to m.
2. D -> M, e bits: the product of m and (1 - d) modulo 2^e (one_of_two.py, times a bit).
3. M takes 2^n times its share of the product off v_M; D takes 2^n (d + its share) off v_D.

Where M's share is one of two candidates and M does not yet know which (relu.py), it turns pads for each: 2 bits.
D answers for the one that serves; the other stays unused. Nothing is opened. Out of the range, v is off by 2^n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smule_crypten.comparison.widths import modulo
from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.blocks import Bits, Bytes, pack_bits
from smule_crypten.oblivious.cots import Fields, Pads
from smule_crypten.oblivious.one_of_two import ReceiverPads

_ONE = np.uint64(1)


def hint(pads: ReceiverPads, share: Fields, bits: int) -> tuple[Bytes, ReceiverPads]:
    """Step 1, for one candidate: the message, and M's end of the turned pads."""
    return one_of_two.towards(pads, _highest(share, bits))


def send_wraps(pads: Sequence[Pads], which: Bits, share: Fields, bits: int, extension: int) -> tuple[Bytes, Fields]:
    """Steps 2 and 3 at D: the message, and its share modulo 2^(bits + extension).

    Args:
        pads: turned, (2, n) a candidate.
        which: the candidate that serves, for each value.
        share: modulo 2^bits.
    """
    highest = _highest(share, bits).astype(np.uint64)
    message, product = one_of_two.send_times_bit(_picked(pads, which), _ONE - highest, extension)
    return message, modulo(share - ((highest + product) << np.uint64(bits)), bits + extension)


def receive_wraps(
    pads: Sequence[ReceiverPads], which: Bits, share: Fields, message: Bytes, bits: int, extension: int
) -> Fields:
    """Steps 2 and 3 at M."""
    served = ReceiverPads(pack_bits(_highest(share, bits)), _picked([one.pads for one in pads], which))
    product = one_of_two.receive_times_bit(served, message, extension)
    return modulo(share - (product << np.uint64(bits)), bits + extension)


def _highest(share: Fields, bits: int) -> Bits:
    return (share >> np.uint64(bits - 1)).astype(np.uint8) & np.uint8(1)


def _picked(candidates: Sequence[Pads], which: Bits) -> Pads:
    if len(candidates) == 1:
        return candidates[0]
    return np.where(which == 1, candidates[1], candidates[0])
