"""The digits of D's number against those of M's: xor shares of "greater" and "equal", digit by digit.

M holds c, D holds r, both of w - 1 bits (widths.py). "Greater" says that D's digit is the greater one; the lowest digit
has no "equal". A row is one bit of every value, packed; n values.

Before the images (D knows r):
1. D -> M: the bits of its digits, turned: (w - 1) n bits in all. One correlated transfer a bit, M the sender; two make
   a transfer of one of four (one_of_four.py), whose four pads D's digit v chooses from.

Online, one message, M -> D:
2. For each digit of two bits, 3 rows: [u > c] xor pad_u xor pad_0 for u = 1 .. 3 ([0 > c] is 0). M's share of "greater"
   is pad_0, D's is its entry xor pad_v: xor shares of one of four.
3. For each digit but the lowest, 2 rows. "Equal" is (1 + c0 + r0)(1 + c1 + r1) = (1 + c0)(1 + c1) + r0 (1 + c1) +
   r1 (1 + c0) + r0 r1 modulo 2: linear in D's bits but for what one party knows alone. So the same two transfers serve
   as two products with a bit (one_of_two.py), with pads of another use; their results are added.
4. For a lowest digit of one bit, 1 row: r (1 + c), one product with a bit.

5 bits a digit of two bits, the lowest 3 or 1: at w = 18, 17 bits before and 41 online a value. Half a round. Nothing is
opened: flips and entries are uniform to who reads them, by fresh choices and by fresh pads. No failure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious import one_of_four
from smule_crypten.oblivious.blocks import Bits, Bytes
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots
from smule_crypten.oblivious.one_of_two import receive_times_bit, send_times_bit

Rows = Bytes
"""Packed bits (rows, ceil(n / 8))."""


class Nodes(NamedTuple):
    """A party's shares, highest digit first: equal (digits - 1, ceil(n / 8)), greater (digits, ceil(n / 8))."""

    equal: Rows
    greater: Rows


class SenderDigits(NamedTuple):
    """M's transfers of a comparison; single is empty where no digit has one bit."""

    pairs: SenderCots
    single: SenderCots


class ReceiverDigits(NamedTuple):
    """D's."""

    pairs: ReceiverCots
    single: ReceiverCots


class SenderPads(NamedTuple):
    """M before the images. table: 4 x (pairs, ceil(n / 8)); low, high: 2 x (digits - 1, ceil(n / 8))."""

    table: list[Rows]
    low: list[Rows]
    high: list[Rows]
    single: SenderCots


class ReceiverPads(NamedTuple):
    """D before the images: its bits (pairs, ceil(n / 8)), the pad of each digit, the sum of its two for "equal"."""

    low: Rows
    high: Rows
    table: Rows
    equal: Rows
    single: ReceiverCots


def choice_bytes(widths: Widths, count: int) -> int:
    return row_bytes(2 * widths.pairs * count) + row_bytes(widths.has_single * count)


def table_bytes(widths: Widths, count: int) -> int:
    rows = 3 * widths.pairs + 2 * widths.gates + widths.has_single
    return rows * row_bytes(count)


def bits_of(numbers: Fields, bit: int) -> Bits:
    return ((numbers >> np.uint64(bit)) & np.uint64(1)).astype(np.uint8)


def pack_rows(bits: Bits, count: int) -> Rows:
    """Bits (rows * count,) as rows."""
    return np.packbits(bits.reshape(-1, count), axis=1, bitorder="little")


def choose(widths: Widths, cots: ReceiverDigits, numbers: Fields) -> tuple[Bytes, ReceiverPads]:
    """Step 1 at D: the message, and what remains of the transfers."""
    count = len(numbers)
    lows, highs = _pair_bits(widths, numbers)
    first, pairs = cots.pairs.towards(np.concatenate([lows, highs]))
    second, single = cots.single.towards(bits_of(numbers, 0)[: len(cots.single)])
    table, (low, high) = one_of_four.receive_bits(pairs, widths.gates * count)
    low_rows, high_rows, table_rows, equal = (pack_rows(bits, count) for bits in (lows, highs, table, low ^ high))
    return np.concatenate([first, second]), ReceiverPads(low_rows, high_rows, table_rows, equal, single)


def turn(widths: Widths, cots: SenderDigits, message: Bytes, count: int) -> SenderPads:
    """Step 1 at M."""
    first, second = np.split(message, [row_bytes(len(cots.pairs))])
    four, two = one_of_four.send_bits(cots.pairs.turned(first), widths.gates * count)
    table, low, high = ([pack_rows(bits, count) for bits in side] for side in (four, *two))
    return SenderPads(table, low, high, cots.single.turned(second))


def send_tables(widths: Widths, pads: SenderPads, numbers: Fields) -> tuple[Bytes, Nodes]:
    """Steps 2 to 4: the message, and M's shares."""
    count, equals = len(numbers), widths.gates
    lows, highs = (pack_rows(bits, count) for bits in _pair_bits(widths, numbers))
    greater = pads.table[0]
    entries = [~(lows | highs), ~highs, ~(lows & highs)]
    parts = [entry ^ pad ^ greater for entry, pad in zip(entries, pads.table[1:], strict=True)]
    not_low, not_high = ~lows[:equals], ~highs[:equals]
    parts += [pads.low[0] ^ pads.low[1] ^ not_high, pads.high[0] ^ pads.high[1] ^ not_low]
    equal = pads.low[0] ^ pads.high[0] ^ (not_low & not_high)
    if widths.has_single:
        message, own = send_times_bit(pads.single, np.uint64(1) - (numbers & np.uint64(1)), 1)
        parts.append(message)
        greater = np.concatenate([greater, pack_rows(own.astype(np.uint8), count)])
    return np.concatenate([part.reshape(-1) for part in parts]), Nodes(equal, greater)


def receive_tables(widths: Widths, pads: ReceiverPads, message: Bytes, count: int) -> Nodes:
    """Steps 2 to 4 at D."""
    equals = widths.gates
    sizes = [widths.pairs, widths.pairs, widths.pairs, equals, equals]
    rows = np.split(message.reshape(-1, row_bytes(count)), np.cumsum(sizes))
    first, second, third, times_low, times_high, rest = rows
    low, high = pads.low, pads.high
    # No access to memory depends on a digit.
    greater = (low & ~high & first) ^ (~low & high & second) ^ (low & high & third) ^ pads.table
    low, high = low[:equals], high[:equals]
    equal = (low & times_low) ^ (high & times_high) ^ (low & high) ^ pads.equal
    if widths.has_single:
        lowest = receive_times_bit(pads.single, rest.reshape(-1), 1)
        greater = np.concatenate([greater, pack_rows(lowest.astype(np.uint8), count)])
    return Nodes(equal, greater)


def _pair_bits(widths: Widths, numbers: Fields) -> tuple[Bits, Bits]:
    """Of the digits of two bits, digit after digit, the low bits and the high ones (pairs * n,)."""
    shifts = [int(widths.has_single) + 2 * place for place in reversed(range(widths.pairs))]
    empty = [np.zeros(0, dtype=np.uint8)]
    lows = np.concatenate(empty + [bits_of(numbers, shift) for shift in shifts])
    return lows, np.concatenate(empty + [bits_of(numbers, shift + 1) for shift in shifts])
