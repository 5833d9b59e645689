"""The digits of D's number against those of M's: xor shares of "greater" and "equal", digit by digit.

M holds c, D holds r, both of w - 1 bits (widths.py). "Greater" says that D's digit is the greater one; the lowest digit
has no "equal". A row is one bit of every value, packed; n values.

Before the images (D knows r):
1. D -> M: the flips that turn pads to the bits of its digits, (w - 1) n bits in all (digit_pads.py). One correlated
   transfer a bit, M the sender; two make a transfer of one of four, three one of eight, whose pads D's digit v chooses
   from.

Online, one message, M -> D:
2. For each digit of b bits, 2^b - 1 rows: [u > c] xor pad_u xor pad_0 for u = 1 .. 2^b - 1 ([0 > c] is 0). M's share of
   "greater" is pad_0, D's is its entry xor pad_v.
3. For each digit but the lowest, 2 rows. "Equal" is (1 + c0 + r0)(1 + c1 + r1) = (1 + c0)(1 + c1) + r0 (1 + c1) +
   r1 (1 + c0) + r0 r1 modulo 2: linear in D's bits but for what one party knows alone. So the same two transfers serve
   as two products with a bit (one_of_two.py), with pads of another use; their results are added.

5 bits per digit of two bits, the lowest 3 or 7: at w = 18, 17 bits before and 42 online per value. Half a round.
Nothing is opened: flips and entries are uniform to their reader, by fresh choices and by fresh pads. No failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smule_crypten.comparison.digit_pads import ReceiverPads, Rows, SenderPads, pair_rows, triple_rows
from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields


class Nodes(NamedTuple):
    """A party's shares, highest digit first: equal (digits - 1, ceil(n / 8)), greater (digits, ceil(n / 8))."""

    equal: Rows
    greater: Rows


def table_bytes(widths: Widths, count: int) -> int:
    rows = 3 * widths.pairs + 7 * widths.has_triple + 2 * widths.gates
    return rows * row_bytes(count)


def send_tables(widths: Widths, pads: SenderPads, numbers: Fields) -> tuple[Bytes, Nodes]:
    """Steps 2 and 3: the message, and M's shares."""
    pairs = pair_rows(widths, numbers)
    parts = _entries(pairs, pads.four) + _entries(triple_rows(widths, numbers), pads.eight)
    not_low, not_high = ~pairs[:, : widths.gates]
    low, high = pads.steps
    parts += [low ^ not_high, high ^ not_low]
    greater = np.concatenate([pads.four[0], pads.eight[0]])
    return np.concatenate([part.reshape(-1) for part in parts]), Nodes(pads.zero ^ (not_low & not_high), greater)


def receive_tables(widths: Widths, pads: ReceiverPads, message: Bytes, count: int) -> Nodes:
    """Steps 2 and 3 at D."""
    equals = widths.gates
    sizes = [widths.pairs] * 3 + [int(widths.has_triple)] * 7 + [equals]
    rows = np.split(message.reshape(-1, row_bytes(count)), np.cumsum(sizes))
    greater = np.concatenate([_chosen(pads.pairs, rows[:3]) ^ pads.four, _chosen(pads.triple, rows[3:10]) ^ pads.eight])
    times_low, times_high = rows[10:]
    low, high = pads.pairs[:, :equals]
    return Nodes((low & times_low) ^ (high & times_high) ^ (low & high) ^ pads.equal, greater)


def _entries(bits: Rows, pads: Rows) -> list[Rows]:
    """[u > c] under its pad for u > 0, of digits c with these bits, lowest first."""
    found, greater = [], np.zeros_like(bits[0])
    for u in range(1, 1 << len(bits)):
        greater = greater | _is(u - 1, bits)
        found.append(greater ^ pads[u] ^ pads[0])
    return found


def _chosen(bits: Rows, entries: Sequence[Rows]) -> Rows:
    """Of the entries for u > 0 that of the digit with these bits. No access to memory depends on a digit."""
    result: Rows = np.zeros_like(bits[0])
    for u, entry in enumerate(entries, 1):
        result ^= entry & _is(u, bits)
    return result


def _is(u: int, bits: Rows) -> Rows:
    """Whether u has these bits."""
    result: Rows = np.full_like(bits[0], 0xFF)
    for place, rows in enumerate(bits):
        result &= rows if u >> place & 1 else ~rows
    return result
