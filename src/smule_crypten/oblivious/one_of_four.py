"""Transfers of one of four integers of w bits, from two correlated transfers each.

Blocks are vectors over the field of four elements 0, 1, sigma, sigma + 1 (blocks.py). Two transfers with the choices c0
and c1 combine to one with the choice v = c0 + 2 c1: Q = q0 xor sigma(q1) at the sender, Q xor v D at the receiver,
where v D is 0, D, sigma(D) or both. Its four pads are H(Q xor u D, tweak) for u = 0 .. 3, with the number of the first
of the two transfers in the tweak; any two differ by a multiple of D that is as hard to guess as D. This is the
code-based transfer of Kolesnikov, Kumaresan (CRYPTO 2013) with a code over four elements. A xor of two pads, one of
each transfer, would not do: the four would sum to zero.

Chosen, on a batch of 2 n transfers turned to the bits of v (the low bits of all, then the high bits):
1. Sender -> receiver, 4 packed_bytes(n, w): m_u xor pad_u for u = 0 .. 3.
Shared, the results are xor shares of m_v:
1. Sender -> receiver, 3 packed_bytes(n, w): m_u xor pad_u xor s for u = 1 .. 3, with the sender's share s = m_0 xor
   pad_0, for which nothing need be sent at u = 0.

With products: the two transfers of a value serve also as transfers of one of two (one_of_two.py), under tweaks of that
use. Each serves one product with a bit; a sum of two such pads has to be linear in c0 and c1, as the products are.

One message after that of the turning, ceil(2 n / 8) bytes; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from smule_crypten.oblivious.blocks import Bits, Blocks, Bytes, marks, refuse_other_choices, sigma
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots, Use, fields, refuse_other_width
from smule_crypten.oblivious.wire import pack_fields, packed_bytes, refuse_other_fields, unpack_sides

Values = npt.NDArray[np.int64]
"""Choices, 0 to 3."""

TRANSFERS = 2
"""Correlated transfers that one of four takes."""

_CHUNK = 1 << 13


def chosen_bytes(count: int, width: int) -> int:
    return 4 * packed_bytes(count, width)


def shared_bytes(count: int, width: int) -> int:
    return 3 * packed_bytes(count, width)


def choice_bits(values: Bits) -> Bits:
    """Choices 0 to 3 (n,) as the 2 n bits that a batch is turned to."""
    refuse_other_choices(values, most=3)
    return np.concatenate([values & 1, values >> 1])


def send_random(cots: SenderCots, width: int) -> list[Fields]:
    """All four integers of each transfer, of a batch of 2 n."""
    refuse_other_width(width)
    low, high = cots.halves()
    return [fields(pads, width) for pads in _table_pads(low, low.spend(), high.spend())]


def receive_random(cots: ReceiverCots, width: int) -> Fields:
    """The integer of each choice: `cots.choices` of the first half, and twice those of the second."""
    refuse_other_width(width)
    low, high = cots.halves()
    return fields(low.hashed(_combined(low.spend(), high.spend()), Use.TABLE), width)


def send_bits(cots: SenderCots, products: int) -> tuple[Bits, Bits]:
    """Pads of one bit: four of each value (4, n), then two of the low and the high transfer of the first `products`.

    The latter are (2, 2, products), by transfer and choice. All in chunks that stay in the cache.
    """
    low, high = cots.halves()
    low_blocks, high_blocks = low.spend(), high.spend()
    four = np.empty((4, len(low_blocks)), dtype=np.uint8)
    two = np.empty((2, 2, products), dtype=np.uint8)
    for start in range(0, len(low_blocks), _CHUNK):
        part = slice(start, start + _CHUNK)
        for u, pads in enumerate(_table_pads(low, low_blocks[part], high_blocks[part], start)):
            four[u, part] = marks(pads)
    for side, (half, blocks) in enumerate(((low, low_blocks), (high, high_blocks))):
        for start in range(0, products, _CHUNK):
            part = slice(start, min(products, start + _CHUNK))
            for choice, multiple in enumerate(_multiples(cots.difference)[:2]):
                two[side, choice, part] = marks(half.hashed(blocks[part] ^ multiple, Use.PAIR, start))
    return four, two


def receive_bits(cots: ReceiverCots, products: int) -> tuple[Bits, list[Bits]]:
    """The pads of its choices: of one of four, then of the low and of the high transfer of the first `products`."""
    low, high = cots.halves()
    low_blocks, high_blocks = low.spend(), high.spend()
    table = marks(low.hashed(_combined(low_blocks, high_blocks), Use.TABLE))
    halves = ((low, low_blocks), (high, high_blocks))
    return table, [marks(half.hashed(own[:products], Use.PAIR)) for half, own in halves]


def send_chosen(cots: SenderCots, tables: Sequence[Fields], width: int) -> Bytes:
    """The message. tables: the four integers of each transfer, 4 x uint64 (n,), of which the low bits count."""
    _refuse_other_tables(cots, tables)
    pads = send_random(cots, width)
    return np.concatenate([pack_fields(m ^ pad, width) for m, pad in zip(tables, pads, strict=True)])


def receive_chosen(cots: ReceiverCots, message: Bytes, width: int) -> Fields:
    values = _values(cots)
    offered = unpack_sides(message, 4, len(values), width)
    return _entries(offered, values) ^ receive_random(cots, width)


def send_shared(cots: SenderCots, tables: Sequence[Fields], width: int) -> tuple[Bytes, Fields]:
    """The message, and the sender's xor shares. tables: as for `send_chosen`."""
    _refuse_other_tables(cots, tables)
    pads = send_random(cots, width)
    masked = [m ^ pad for m, pad in zip(tables, pads, strict=True)]
    own = masked[0] & np.uint64((1 << width) - 1)
    return np.concatenate([pack_fields(entry ^ own, width) for entry in masked[1:]]), own


def receive_shared(cots: ReceiverCots, message: Bytes, width: int) -> Fields:
    """The receiver's xor shares."""
    values = _values(cots)
    offered = [np.zeros(len(values), dtype=np.uint64)]
    offered += unpack_sides(message, 3, len(values), width)
    return _entries(offered, values) ^ receive_random(cots, width)


def _refuse_other_tables(cots: SenderCots, tables: Sequence[Fields]) -> None:
    if len(tables) != 4:
        raise ValueError(f"one of four integers is chosen, got tables of {len(tables)}")
    for entries in tables:
        refuse_other_fields(entries, len(cots) // TRANSFERS)


def _values(cots: ReceiverCots) -> Values:
    low, high = np.split(cots.choices.astype(np.int64), 2)
    return low + 2 * high


def _entries(tables: Sequence[Fields], values: Values) -> Fields:
    """Of each four entries the one that is named; no access to memory depends on a name."""
    chosen = np.zeros(len(values), dtype=np.uint64)
    for number, entries in enumerate(tables):
        chosen ^= entries * (values == number)
    return chosen


def _table_pads(low: SenderCots, low_blocks: Blocks, high_blocks: Blocks, start: int = 0) -> Iterator[Blocks]:
    """The four pads, one after the other, of the transfers from that at `start` on."""
    blocks = _combined(low_blocks, high_blocks)
    for multiple in _multiples(low.difference):
        yield low.hashed(blocks ^ multiple, Use.TABLE, start)


def _multiples(difference: Blocks) -> list[Blocks]:
    """U D for u = 0 .. 3."""
    zero = np.zeros_like(difference)
    return [_combined(a, b) for b in (zero, difference) for a in (zero, difference)]


def _combined(low: Blocks, high: Blocks) -> Blocks:
    result = np.empty_like(high)
    sigma(high, out=result)
    result ^= low
    return result
