"""From the comparisons of digits to that of whole numbers, by a binary tree of AND gates on packed bits.

Two neighbours u (the higher digits) and v combine: greater = g_u xor (e_u and g_v), equal = e_u and e_v; the lowest
node has no "equal". A node without a neighbour, at the high end, waits for the next level. All in xor shares.

A gate takes one triple with two products: shares of a, (b, b') and (a b, a b'), from one random transfer of two bits in
each direction (triples.py). It is ready before the images.

For each level:
1. Both open e_u xor a, g_v xor b and, but for the lowest gate, e_v xor b': 2 or 3 bits a gate and party.
2. x y = d e xor d b xor e a xor a b, with the opened d = x xor a and e = y xor b; the first term counts at M.

3 gates - 1 rows per level and party: 18 bits per value and party at w = 18 (8 digits, 7 gates, 3 levels), 14 transfers.
Opened bits are uniform, by masks that neither party knows. No failure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smule_crypten.comparison.digit_pads import Rows
from smule_crypten.comparison.digits import Nodes
from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots
from smule_crypten.oblivious.triples import make_triples


class GateTriples(NamedTuple):
    """A party's shares for all gates, each (gates, ceil(n / 8)): a factor, two more, and their products with it."""

    a: Rows
    b: Rows
    b_equal: Rows
    c: Rows
    c_equal: Rows


def level_gates(digits: int) -> list[int]:
    """Gates of each level, from the digits up."""
    gates = []
    while digits > 1:
        gates.append(digits // 2)
        digits -= digits // 2
    return gates


def opening_bytes(widths: Widths, count: int) -> list[int]:
    """What a party sends for each level."""
    return [(3 * gates - 1) * row_bytes(count) for gates in level_gates(widths.digits)]


def prepare_gates(sending: SenderCots, receiving: ReceiverCots, count: int) -> GateTriples:
    """sending, receiving: one transfer a gate and value, of either instance."""
    a, (b, b_equal), (c, c_equal) = make_triples(sending, receiving, 2, count)
    return GateTriples(a, b, b_equal, c, c_equal)


class Tree:
    """One party's walk through the tree."""

    def __init__(self, nodes: Nodes, triples: GateTriples, is_model_owner: bool) -> None:
        self._nodes = nodes
        self._triples = triples
        self._is_model_owner = is_model_owner

    @property
    def greater(self) -> Bytes:
        """Share of the result, one row, once all levels are combined."""
        (row,) = self._nodes.greater
        result: Bytes = row
        return result

    def masked(self) -> Bytes:
        """Step 1: this party's message for the next level."""
        operands, gates = self._operands(), self._gates
        a, b, b_equal = (rows[:gates] for rows in self._triples[:3])
        masks = (a, b, b_equal[:-1])
        return np.concatenate([(rows ^ mask).reshape(-1) for rows, mask in zip(operands, masks, strict=True)])

    def combine(self, opened: Bytes) -> None:
        """Step 2. opened: the xor of both messages."""
        equal, greater = self._nodes
        gates, first = self._gates, len(greater) % 2
        size = greater.shape[1]
        d, e, e_equal = np.split(opened.reshape(-1, size), [gates, 2 * gates])
        a, b, b_equal, c, c_equal = (rows[:gates] for rows in self._triples)
        self._triples = GateTriples(*(rows[gates:] for rows in self._triples))
        upper = greater[first::2] ^ self._product(d, e, a, b, c)
        joint = self._product(d[:-1], e_equal, a[:-1], b_equal[:-1], c_equal[:-1])
        self._nodes = Nodes(np.concatenate([equal[:first], joint]), np.concatenate([greater[:first], upper]))

    @property
    def _gates(self) -> int:
        return len(self._nodes.greater) // 2

    def _operands(self) -> tuple[Rows, Rows, Rows]:
        """Of each gate e_u, g_v and, but for the lowest, e_v."""
        equal, greater = self._nodes
        first = len(greater) % 2
        return equal[first::2], greater[first + 1 :: 2], equal[first + 1 :: 2]

    def _product(self, d: Rows, e: Rows, a: Rows, b: Rows, c: Rows) -> Rows:
        share = (d & b) ^ (e & a) ^ c
        return share ^ (d & e) if self._is_model_owner else share
