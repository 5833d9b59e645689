"""Pads that change places after hashing are those of transfers that were turned before it, exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from oblivious_harness import INSTANCE, turned_first

from smule_crypten.oblivious import one_of_eight, one_of_four, one_of_two
from smule_crypten.oblivious.blocks import Bits, pack_bits, random_difference
from smule_crypten.oblivious.cots import Pads, SenderCots
from smule_crypten.oblivious.hashing import Hashes
from smule_crypten.oblivious.turning import Words, turned

COUNT = 1003


def batch(transfers: int) -> SenderCots:
    """The same one each time."""
    generator = np.random.default_rng(transfers)
    blocks = generator.integers(0, 1 << 64, (transfers * COUNT, 2), dtype=np.uint64)
    return SenderCots(Hashes(INSTANCE).pads, 12_345, blocks, random_difference(generator.bytes))


def random_flips(bits: int) -> Bits:
    return np.random.default_rng(bits).integers(0, 2, (bits, COUNT)).astype(np.uint8)


def masks(flips: Bits, pads: Pads) -> list[Words]:
    """Of each bit, all ones where it is flipped."""
    ones = np.iinfo(pads.dtype).max
    return [np.where(row == 1, ones, 0).astype(pads.dtype) for row in flips]


@pytest.mark.parametrize("width", [1, 8, 14, 18, 33, 64])
def test_one_of_two(width: int) -> None:
    (flips,) = random_flips(1)
    found = one_of_two.turned(one_of_two.send_random(batch(1), width), pack_bits(flips))
    np.testing.assert_array_equal(found, one_of_two.send_random(turned_first(batch(1), flips), width))


@pytest.mark.parametrize("width", [1, 9, 64])
@pytest.mark.parametrize("products", [0, 500, COUNT])
def test_one_of_four(width: int, products: int) -> None:
    """The table, and the pads of both its transfers for products, each turned by its own flips."""
    flips = random_flips(2)
    expected = one_of_four.send_random(turned_first(batch(2), flips.reshape(-1)), width, products)
    table, pairs = one_of_four.send_random(batch(2), width, products)
    np.testing.assert_array_equal(turned(table, masks(flips, table)), expected[0])
    for pair, row, due in zip(pairs, flips, expected[1], strict=True):
        np.testing.assert_array_equal(turned(pair, masks(row[None, :products], pair)), due)


@pytest.mark.parametrize("width", [1, 64])
def test_one_of_eight(width: int) -> None:
    flips = random_flips(3)
    pads = one_of_eight.send_random(batch(3), width)
    expected = one_of_eight.send_random(turned_first(batch(3), flips.reshape(-1)), width)
    np.testing.assert_array_equal(turned(pads, masks(flips, pads)), expected)
    assert not np.array_equal(turned(pads, masks(flips[::-1], pads)), expected)


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("draw", [np.uint8, np.uint64])
def test_places(bits: int, draw: Callable[[int], np.unsignedinteger[npt.NBitBase]]) -> None:
    """pads'(u) = pads(u xor flips), by plain indexing; what was handed in stays."""
    pads = np.arange((1 << bits) * COUNT).reshape(1 << bits, COUNT).astype(draw)
    before, flips = pads.copy(), random_flips(bits)
    values = (flips.astype(int) << np.arange(bits)[:, None]).sum(axis=0)
    found = turned(pads, masks(flips, pads))
    for u in range(1 << bits):
        np.testing.assert_array_equal(found[u], pads[u ^ values, np.arange(COUNT)])
    np.testing.assert_array_equal(pads, before)


def test_bits_in_rows() -> None:
    """Eight bits of eight transfers a byte turn as bits alone do."""
    pads, flips = one_of_four.send_random(batch(2), 1)[0], random_flips(2)
    packed = np.packbits(pads, axis=-1, bitorder="little")
    found = turned(packed, np.packbits(flips, axis=-1, bitorder="little"))
    bits = np.unpackbits(found, axis=-1, count=COUNT, bitorder="little")
    np.testing.assert_array_equal(bits, turned(pads, list(flips)))
