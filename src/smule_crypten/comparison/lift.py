"""To a wider ring: shares modulo 2^n of a value that is not negative become shares modulo 2^(n + e).

0 <= v < 2^(n - 1), v = v_M + v_D - 2^n wrap. As v has no highest bit, a sum that does not wrap comes of two shares
without one, and a share with one makes it wrap: wrap = m or d = d + m (1 - d), the highest bits of v_M and v_D.

1. M -> D, 1 bit: m, turned, for one correlated transfer with D the sender.
2. D -> M, e bits: the product of m and (1 - d) modulo 2^e (one_of_two.py, times a bit).
3. M takes 2^n times its share of the product off v_M; D takes 2^n (d + its share) off v_D.

Where M's share is one of two candidates and M does not yet know which (relu.py), it turns a transfer for each: 2 bits.
D answers for the one that serves; the other stays unused. Nothing is opened. Out of the range, v is off by 2^n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smule_crypten.comparison.digits import bits_of
from smule_crypten.comparison.widths import modulo
from smule_crypten.oblivious.blocks import Bits, Bytes
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots
from smule_crypten.oblivious.one_of_two import receive_random, send_random
from smule_crypten.oblivious.wire import pack_fields, unpack_fields

_ONE = np.uint64(1)


def hint(cots: ReceiverCots, share: Fields, bits: int) -> tuple[Bytes, ReceiverCots]:
    """Step 1, for one candidate: the message, and M's end of the turned transfers."""
    return cots.towards(bits_of(share, bits - 1))


def send_wraps(
    cots: Sequence[SenderCots], which: Bits, share: Fields, bits: int, extension: int
) -> tuple[Bytes, Fields]:
    """Steps 2 and 3 at D: the message, and its share modulo 2^(bits + extension).

    Args:
        cots: turned, one batch a candidate.
        which: the candidate that serves, for each value.
        share: modulo 2^bits.
    """
    pads = [send_random(batch, extension) for batch in cots]
    first, second = (_picked([pad[side] for pad in pads], which) for side in (0, 1))
    highest = bits_of(share, bits - 1).astype(np.uint64)
    message = pack_fields(first - second + _ONE - highest, extension)
    # Its share of the product is -first.
    return message, modulo(share - ((highest - first) << np.uint64(bits)), bits + extension)


def receive_wraps(
    cots: Sequence[ReceiverCots], which: Bits, share: Fields, message: Bytes, bits: int, extension: int
) -> Fields:
    """Steps 2 and 3 at M."""
    pads = _picked([receive_random(batch, extension) for batch in cots], which)
    highest = bits_of(share, bits - 1).astype(np.uint64)
    product = pads + highest * unpack_fields(message, len(share), extension)
    return modulo(share - (product << np.uint64(bits)), bits + extension)


def _picked(candidates: Sequence[Fields], which: Bits) -> Fields:
    if len(candidates) == 1:
        return candidates[0]
    return np.where(which == 1, candidates[1], candidates[0])
