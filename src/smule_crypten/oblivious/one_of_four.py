"""Transfers of one of four integers of w bits, from two correlated transfers each.

Blocks are vectors over the field of four elements 0, 1, sigma, sigma + 1 (blocks.py). Two transfers with the choices c0
and c1 combine to one with the choice v = c0 + 2 c1: Q = q0 xor sigma(q1) at the sender, Q xor v D at the receiver,
where v D is 0, D, sigma(D) or both. Its four pads are H(Q xor u D, tweak) for u = 0 .. 3, with the number of the first
of the two transfers in the tweak; any two differ by a multiple of D that is as hard to guess as D. This is the
code-based transfer of Kolesnikov, Kumaresan (CRYPTO 2013) with a code over four elements. A xor of two pads, one of
each transfer, would not do: the four would sum to zero.

With products: the two transfers of a value serve also as transfers of one of two (one_of_two.py), under tweaks of that
use. Each serves one product with a bit; a sum of two such pads has to be linear in c0 and c1, as the products are.

0 bytes; the choices are random, and pads are turned to others afterwards (turning.py). Nothing is opened.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.blocks import Blocks, sigma
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots, Use, refuse_other_width

TRANSFERS = 2
"""Correlated transfers that one of four takes: the low bits of all choices, then the high ones."""


def send_random(cots: SenderCots, width: int, products: int = 0) -> tuple[Pads, Pads]:
    """All four pads of each value, of a batch of 2 n (4, n), and those of the first `products` transfers of one of two.

    The latter are (2, 2, products): of the low and of the high transfer, by choice, each under its own number.
    """
    low, high = _halves(cots, width)
    four = cots.pads(_combined(low, high), _multiples(cots.difference), Use.TABLE, width)
    two = one_of_two.multiples(cots.difference)
    halves = enumerate((low, high))
    pairs = [cots.pads(half[:products], two, Use.PAIR, width, side * len(low)) for side, half in halves]
    return four, np.stack(pairs)


def receive_random(cots: ReceiverCots, width: int, products: int = 0) -> tuple[Pads, Pads]:
    """The pads of its choices: of one of four (n,), and of the low and the high transfer of the first `products`."""
    low, high = _halves(cots, width)
    four = cots.pads(_combined(low, high), Use.TABLE, width)
    pairs = [cots.pads(half[:products], Use.PAIR, width, side * len(low)) for side, half in enumerate((low, high))]
    return four, np.stack(pairs)


def _halves(cots: SenderCots | ReceiverCots, width: int) -> tuple[Blocks, Blocks]:
    refuse_other_width(width)
    if len(cots) % TRANSFERS:
        raise ValueError(f"{len(cots)} transfers have no halves")
    low, high = np.split(cots.spend(), TRANSFERS)
    return low, high


def _multiples(difference: Blocks) -> Blocks:
    """U D for u = 0 .. 3."""
    zero = np.zeros_like(difference)
    return np.stack([_combined(a, b) for b in (zero, difference) for a in (zero, difference)])


def _combined(low: Blocks, high: Blocks) -> Blocks:
    result = np.empty_like(high)
    sigma(high, out=result)
    result ^= low
    return result
