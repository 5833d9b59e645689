"""What the comparison of digits keeps of its transfers: pads for random choices, and their turning to D's digits.

A row is one bit of every value, packed; n values. The digits are those of digits.py, which also says what pads serve
for. Per digit of two bits M has the four pads of a transfer of one of four, D the one of its random choice; per digit
of three bits eight and one. For "equal" the transfers serve as two products with a bit: of their pads low_u and high_u
M needs low_0 xor low_1 and high_0 xor high_1, which turning leaves, and low_0 xor high_0, D the sum of its own two.

Turning, D -> M: w - 1 bits per value, the flips of all bits of its digits (turning.py). 94 bits at M and 32 at D, per
value at w = 18, with 14 + 3 transfers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious import one_of_eight, one_of_four
from smule_crypten.oblivious.blocks import Bytes, pack_bits, pack_rows, unpack_bits
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots
from smule_crypten.oblivious.turning import turned

Rows = Bytes
"""Packed bits (rows, ceil(n / 8))."""


class SenderPads(NamedTuple):
    """M's. By what D may choose: four (4, pairs, ceil(n / 8)), eight (8, 1 or 0, ceil(n / 8)).

    For "equal": steps, low_0 xor low_1 and high_0 xor high_1 (2, digits - 1, ceil(n / 8)); zero, low_0 xor high_0.
    """

    four: Rows
    eight: Rows
    steps: Rows
    zero: Rows


class ReceiverPads(NamedTuple):
    """D's.

    pairs: the low and the high bits of its digits of two (2, pairs, ceil(n / 8)); triple: the bits of that of three,
    lowest first (3, 1 or 0, ceil(n / 8)). Random until pads are turned. four, eight: the pad of each digit; equal: the
    sum of its two for "equal".
    """

    pairs: Rows
    triple: Rows
    four: Rows
    eight: Rows
    equal: Rows


def choice_bytes(widths: Widths, count: int) -> int:
    return row_bytes(2 * widths.pairs * count) + row_bytes(3 * widths.has_triple * count)


def sender_pads(widths: Widths, pairs: SenderCots, triple: SenderCots, count: int) -> SenderPads:
    """Of 2 * pairs and 3 * has_triple transfers per value."""
    four, two = one_of_four.send_random(pairs, 1, widths.gates * count)
    low, high = two
    return SenderPads(
        four=pack_rows(four, count),
        eight=pack_rows(one_of_eight.send_random(triple, 1), count),
        steps=pack_rows(two[:, 0] ^ two[:, 1], count),
        zero=pack_rows(low[0] ^ high[0], count),
    )


def receiver_pads(widths: Widths, pairs: ReceiverCots, triple: ReceiverCots, count: int) -> ReceiverPads:
    """Of as many."""
    pair_choices, triple_choices = pairs.choices.reshape(2, -1), triple.choices.reshape(3, -1)
    four, two = one_of_four.receive_random(pairs, 1, widths.gates * count)
    return ReceiverPads(
        pairs=pack_rows(pair_choices, count),
        triple=pack_rows(triple_choices, count),
        four=pack_rows(four, count),
        eight=pack_rows(one_of_eight.receive_random(triple, 1), count),
        equal=pack_rows(two[0] ^ two[1], count),
    )


def choose(widths: Widths, pads: ReceiverPads, numbers: Fields) -> tuple[Bytes, ReceiverPads]:
    """D's message, and its pads for the digits of `numbers` (n,)."""
    pairs, triple = pair_rows(widths, numbers), triple_rows(widths, numbers)
    flips = [_in_line(own ^ drawn, len(numbers)) for own, drawn in ((pairs, pads.pairs), (triple, pads.triple))]
    return np.concatenate(flips), pads._replace(pairs=pairs, triple=triple)


def turn(widths: Widths, pads: SenderPads, message: Bytes, count: int) -> SenderPads:
    """M's pads after the message."""
    first, second = np.split(message, [row_bytes(2 * widths.pairs * count)])
    pairs, triple = _in_rows(first, (2, widths.pairs), count), _in_rows(second, (3, int(widths.has_triple)), count)
    low, high = pairs[:, : widths.gates] & pads.steps
    return pads._replace(four=turned(pads.four, pairs), eight=turned(pads.eight, triple), zero=pads.zero ^ low ^ high)


def pair_rows(widths: Widths, numbers: Fields) -> Rows:
    """Of the digits of two bits, highest first, the low bits and the high ones (2, pairs, ceil(n / 8))."""
    first = 3 * widths.has_triple
    rows = bit_rows(numbers, first, 2 * widths.pairs)
    return rows.reshape(widths.pairs, 2, row_bytes(len(numbers)))[::-1].transpose(1, 0, 2)


def triple_rows(widths: Widths, numbers: Fields) -> Rows:
    """The bits of the digit of three, lowest first (3, 1, ceil(n / 8)); (3, 0, ceil(n / 8)) where there is none."""
    return bit_rows(numbers, 0, 3)[:, None][:, : widths.has_triple]


def bit_rows(numbers: Fields, first: int, count: int) -> Rows:
    """So many bits of each number, from bit `first` up: (count, ceil(n / 8))."""
    rows = np.empty((count, row_bytes(len(numbers))), dtype=np.uint8)
    octets = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8)
    for place in range(first // 8, -(-(first + count) // 8)):
        # Byte by byte: eight times as many fit a register, and what is not zero packs as 1.
        octet = np.ascontiguousarray(octets[:, place])
        for bit in range(max(first, 8 * place), min(first + count, 8 * place + 8)):
            rows[bit - first] = pack_bits(octet & np.uint8(1 << bit % 8))
    return rows


def _in_line(rows: Rows, count: int) -> Bytes:
    """Rows as one line of bits, as they cross the wire."""
    if count % 8 == 0:
        return np.ascontiguousarray(rows).reshape(-1)
    return pack_bits(np.unpackbits(rows, axis=-1, count=count, bitorder="little").reshape(-1))


def _in_rows(line: Bytes, shape: tuple[int, ...], count: int) -> Rows:
    """Undo `_in_line`."""
    if count % 8 == 0:
        return line.reshape(*shape, count // 8)
    bits = unpack_bits(line, int(np.prod(shape)) * count).reshape(*shape, count)
    return np.packbits(bits, axis=-1, bitorder="little")
