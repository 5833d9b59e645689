"""The public polynomials of a plan, from one key that both parties contributed to (mpc/keys.py, agreed_key).

A new key for each start of a run: what was sent under old polynomials is of no use to the new ones. From the stream of
the key come P, then the a_c of each hand-over, slot by slot and channel by channel, `modulus_bits` a coefficient.
"""

from __future__ import annotations

import torch

from smule_crypten.lattice.plan import Plan
from smule_crypten.lattice.ring import uniform
from smule_crypten.mpc.streams import Stream


class PublicPolynomials:
    """p: (N,), of which every secret of either party has a multiple. a: for each hand-over (slots, C, N)."""

    def __init__(self, plan: Plan, key: bytes) -> None:
        stream, lattice = Stream(key), plan.lattice
        self.p = uniform(stream, 1, lattice.degree, lattice.modulus_bits)[0]
        self.a: list[torch.Tensor] = []
        for hand_over in plan.hand_overs:
            count = hand_over.slots * hand_over.channels
            drawn = uniform(stream, count, lattice.degree, lattice.modulus_bits)
            self.a.append(drawn.view(hand_over.slots, hand_over.channels, lattice.degree))
