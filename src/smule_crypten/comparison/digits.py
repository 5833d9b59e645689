"""The digits of D's number against those of M's: xor shares of "greater" and "equal", digit by digit.

M holds c, D holds r, both of w - 1 bits (widths.py). "Greater" says that D's digit is the greater one; the lowest digit
has no "equal". A row is one bit of every value, packed; n values.

Before the images (D knows r):
1. D -> M: the bits of its digits, turned: (w - 1) n bits in all. One correlated transfer a bit, M the sender; two make
   a transfer of one of four, three one of eight (one_of_four.py, one_of_eight.py), whose pads D's digit v chooses from.

Online, one message, M -> D:
2. For each digit of b bits, 2^b - 1 rows: [u > c] xor pad_u xor pad_0 for u = 1 .. 2^b - 1 ([0 > c] is 0). M's share of
   "greater" is pad_0, D's is its entry xor pad_v.
3. For each digit but the lowest, 2 rows. "Equal" is (1 + c0 + r0)(1 + c1 + r1) = (1 + c0)(1 + c1) + r0 (1 + c1) +
   r1 (1 + c0) + r0 r1 modulo 2: linear in D's bits but for what one party knows alone. So the same two transfers serve
   as two products with a bit (one_of_two.py), with pads of another use; their results are added.

5 bits a digit of two bits, the lowest 3 or 7: at w = 18, 17 bits before and 42 online a value. Half a round. Nothing is
opened: flips and entries are uniform to who reads them, by fresh choices and by fresh pads. No failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious import one_of_eight, one_of_four
from smule_crypten.oblivious.blocks import Bits, Bytes
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots

Rows = Bytes
"""Packed bits (rows, ceil(n / 8))."""


class Nodes(NamedTuple):
    """A party's shares, highest digit first: equal (digits - 1, ceil(n / 8)), greater (digits, ceil(n / 8))."""

    equal: Rows
    greater: Rows


class SenderDigits(NamedTuple):
    """M's transfers of a comparison; triple is empty where no digit has three bits."""

    pairs: SenderCots
    triple: SenderCots


class ReceiverDigits(NamedTuple):
    """D's."""

    pairs: ReceiverCots
    triple: ReceiverCots


class SenderPads(NamedTuple):
    """M before the images. four: 4 x (pairs, ceil(n / 8)); low, high: 2 x (digits - 1, ceil(n / 8)); eight: 8 rows."""

    four: list[Rows]
    low: list[Rows]
    high: list[Rows]
    eight: list[Rows]


class ReceiverPads(NamedTuple):
    """D before the images.

    pairs: low and high bits of its digits of two, each (pairs, ceil(n / 8)); triple: of that of three, lowest first.
    four, eight: the pad of each digit; equal: the sum of its two for "equal".
    """

    pairs: list[Rows]
    triple: list[Rows]
    four: Rows
    eight: Rows
    equal: Rows


def choice_bytes(widths: Widths, count: int) -> int:
    return row_bytes(2 * widths.pairs * count) + row_bytes(3 * widths.has_triple * count)


def table_bytes(widths: Widths, count: int) -> int:
    rows = 3 * widths.pairs + 7 * widths.has_triple + 2 * widths.gates
    return rows * row_bytes(count)


def bits_of(numbers: Fields, bit: int) -> Bits:
    return ((numbers >> np.uint64(bit)) & np.uint64(1)).astype(np.uint8)


def pack_rows(bits: Bits, count: int) -> Rows:
    """Bits (rows * count,) as rows."""
    return np.packbits(bits.reshape(-1, count), axis=1, bitorder="little")


def choose(widths: Widths, cots: ReceiverDigits, numbers: Fields) -> tuple[Bytes, ReceiverPads]:
    """Step 1 at D: the message, and what remains of the transfers."""
    count = len(numbers)
    pair_bits, triple_bits = _pair_bits(widths, numbers), _triple_bits(widths, numbers)
    first, pairs = cots.pairs.towards(np.concatenate(pair_bits))
    second, triple = cots.triple.towards(np.concatenate(triple_bits))
    four, (low, high) = one_of_four.receive_bits(pairs, widths.gates * count)
    eight = one_of_eight.receive_bits(triple)
    pads = ReceiverPads(
        pairs=[pack_rows(bits, count) for bits in pair_bits],
        triple=[pack_rows(bits, count) for bits in triple_bits],
        four=pack_rows(four, count),
        eight=pack_rows(eight, count),
        equal=pack_rows(low ^ high, count),
    )
    return np.concatenate([first, second]), pads


def turn(widths: Widths, cots: SenderDigits, message: Bytes, count: int) -> SenderPads:
    """Step 1 at M."""
    first, second = np.split(message, [row_bytes(len(cots.pairs))])
    four, two = one_of_four.send_bits(cots.pairs.turned(first), widths.gates * count)
    eight = one_of_eight.send_bits(cots.triple.turned(second))
    return SenderPads(*([pack_rows(bits, count) for bits in side] for side in (four, *two, eight)))


def send_tables(widths: Widths, pads: SenderPads, numbers: Fields) -> tuple[Bytes, Nodes]:
    """Steps 2 and 3: the message, and M's shares."""
    count, equals = len(numbers), widths.gates
    low, high = (pack_rows(bits, count) for bits in _pair_bits(widths, numbers))
    triple = [pack_rows(bits, count) for bits in _triple_bits(widths, numbers)]
    parts = _entries([low, high], pads.four) + _entries(triple, pads.eight)
    not_low, not_high = ~low[:equals], ~high[:equals]
    parts += [pads.low[0] ^ pads.low[1] ^ not_high, pads.high[0] ^ pads.high[1] ^ not_low]
    equal = pads.low[0] ^ pads.high[0] ^ (not_low & not_high)
    greater = np.concatenate([pads.four[0], pads.eight[0]])
    return np.concatenate([part.reshape(-1) for part in parts]), Nodes(equal, greater)


def receive_tables(widths: Widths, pads: ReceiverPads, message: Bytes, count: int) -> Nodes:
    """Steps 2 and 3 at D."""
    equals = widths.gates
    sizes = [widths.pairs] * 3 + [int(widths.has_triple)] * 7 + [equals]
    rows = np.split(message.reshape(-1, row_bytes(count)), np.cumsum(sizes))
    greater = np.concatenate([_chosen(pads.pairs, rows[:3]) ^ pads.four, _chosen(pads.triple, rows[3:10]) ^ pads.eight])
    times_low, times_high = rows[10:]
    low, high = (bits[:equals] for bits in pads.pairs)
    return Nodes((low & times_low) ^ (high & times_high) ^ (low & high) ^ pads.equal, greater)


def _entries(bits: Sequence[Rows], pads: Sequence[Rows]) -> list[Rows]:
    """[u > c] under its pad for u > 0, of digits c with these bits, lowest first."""
    found, greater = [], np.zeros_like(bits[0])
    for u in range(1, 1 << len(bits)):
        greater = greater | _is(u - 1, bits)
        found.append(greater ^ pads[u] ^ pads[0])
    return found


def _chosen(bits: Sequence[Rows], entries: Sequence[Rows]) -> Rows:
    """Of the entries for u > 0 that of the digit with these bits. No access to memory depends on a digit."""
    result = np.zeros_like(bits[0])
    for u, entry in enumerate(entries, 1):
        result ^= entry & _is(u, bits)
    return result


def _is(u: int, bits: Sequence[Rows]) -> Rows:
    """Whether u has these bits."""
    result = np.full_like(bits[0], 0xFF)
    for place, rows in enumerate(bits):
        result &= rows if u >> place & 1 else ~rows
    return result


def _pair_bits(widths: Widths, numbers: Fields) -> list[Bits]:
    """Of the digits of two bits, digit after digit, the low bits and the high ones (pairs * n,)."""
    shifts = [3 * widths.has_triple + 2 * place for place in reversed(range(widths.pairs))]
    none = [np.zeros(0, dtype=np.uint8)]
    return [np.concatenate(none + [bits_of(numbers, shift + bit) for shift in shifts]) for bit in (0, 1)]


def _triple_bits(widths: Widths, numbers: Fields) -> list[Bits]:
    """The bits of the digit of three, lowest first (n,); of length 0 where there is none."""
    return [bits_of(numbers, bit)[: widths.has_triple * len(numbers)] for bit in range(3)]
