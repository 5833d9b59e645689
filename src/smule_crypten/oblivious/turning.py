"""Pads made for random choices, turned to those that a receiver makes later: they change places, and nothing is hashed.

A transfer of one of 2^k has the pads H(Q + u D), u = 0 .. 2^k - 1, at the sender, and that of u = x at the receiver,
whose random choice x is; u D are multiples of D over a field of 2^e elements (one_of_two.py, one_of_four.py,
one_of_eight.py), and u D + v D = (u xor v) D.

1. Receiver -> sender, k bits: the flips x xor c, c the choice that it makes. x is uniform and serves once, so they say
   nothing.
2. Turning Q to Q + flips D and hashing it then gives the pad of u xor flips for u. So the sender's pads change places:
   pads'(u) = pads(u xor flips). The receiver's pad is that of c now, and stays.

A second message of flips would tell the xor of two choices: who keeps pads sees to it that they are turned once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.unsignedinteger[Any]]
"""Pads in unsigned integers: one each, or eight bits of eight transfers a byte."""


def turned(pads: Words, flips: Sequence[Words] | Words) -> Words:
    """Step 2: pads'(u) = pads(u xor flips).

    Args:
        pads: (2^k, ...), by u.
        flips: of each bit of u, lowest first, k x (...): ones where it is flipped, in every bit of the pad.
    """
    result = pads.copy()
    for bit, mask in enumerate(flips):
        sides = result.reshape(len(pads) >> bit + 1, 2, 1 << bit, *pads.shape[1:])
        change = (sides[:, 0] ^ sides[:, 1]) & mask
        sides ^= change[:, None]
    return result
