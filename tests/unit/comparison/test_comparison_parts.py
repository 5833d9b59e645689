"""Digits, tree and the fresh share, each against plain integers; one whole message against slow arithmetic."""

from __future__ import annotations

import numpy as np
import oblivious_reference as reference
import pytest
from comparison_harness import (
    REFERENCE,
    IdealReceiver,
    IdealSender,
    _Dealt,
    ideal_parties,
    play_relu,
    random_shares,
    summed,
)
from oblivious_harness import INSTANCE, converse, random_fields, repeatable_bytes, turned_first

from smule_crypten.comparison import digits, relu
from smule_crypten.comparison.digit_pads import (
    Rows,
    bit_rows,
    choice_bytes,
    choose,
    receiver_pads,
    sender_pads,
    turn,
)
from smule_crypten.comparison.digits import Nodes
from smule_crypten.comparison.remask import FreshShare, remask_bytes
from smule_crypten.comparison.tree import Tree, level_gates, opening_bytes, prepare_gates
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.oblivious.blocks import Bytes, as_bytes, pack_rows, unpack_bits
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.wire import unpack_fields

COUNT = 203


def compared(widths: Widths, c: Fields, r: Fields) -> tuple[Nodes, Nodes, Bytes]:
    dealt, count = _Dealt(5), len(c)
    sender, receiver = IdealSender(dealt), IdealReceiver(dealt)
    sizes = (2 * widths.pairs * count, 3 * widths.has_triple * count)
    flips, theirs = choose(widths, receiver_pads(widths, *map(receiver.take, sizes), count), r)
    assert len(flips) == choice_bytes(widths, count)
    ours = turn(widths, sender_pads(widths, *map(sender.take, sizes), count), flips, count)
    message, nodes = digits.send_tables(widths, ours, c)
    assert len(message) == digits.table_bytes(widths, count)
    return nodes, digits.receive_tables(widths, theirs, message, count), message


def plain_digits(widths: Widths, numbers: Fields) -> list[Fields]:
    """Highest first."""
    low = modulo(numbers, widths.width - 1)
    triple = [low & np.uint64(7)] if widths.has_triple else []
    rest = low >> np.uint64(3 * widths.has_triple)
    return [(rest >> np.uint64(2 * place)) & np.uint64(3) for place in reversed(range(widths.pairs))] + triple


def opened_rows(ours: Rows, theirs: Rows) -> list[list[int]]:
    return [unpack_bits(row, COUNT).tolist() for row in ours ^ theirs]


@pytest.mark.parametrize("width", [3, 4, 5, 6, 18, 19, 33])
def test_digits(width: int) -> None:
    """Every pair of digits occurs; the highest bit of the numbers plays no part."""
    widths = Widths(width, 0, width)
    c, r = random_fields(1, COUNT, width), random_fields(2, COUNT, width)
    ours, theirs, _ = compared(widths, c, r)
    pairs = list(zip(plain_digits(widths, c), plain_digits(widths, r), strict=True))
    assert opened_rows(ours.greater, theirs.greater) == [(b > a).astype(int).tolist() for a, b in pairs]
    assert opened_rows(ours.equal, theirs.equal) == [(b == a).astype(int).tolist() for a, b in pairs[:-1]]


def test_tables_are_what_slow_arithmetic_makes_of_the_blocks() -> None:
    """M's whole message for eight values of five bits, a digit of two and one of three, by the hash in plain Python."""
    widths, c = Widths(6, 0, 6), np.array([0, 1, 10, 3, 28, 21, 6, 31], dtype=np.uint64)
    r = np.array([7, 25, 2, 30, 28, 16, 14, 0], dtype=np.uint64)
    _, _, message = compared(widths, c, r)
    dealt = _Dealt(5)
    key = reference.public_key(INSTANCE.seed, INSTANCE.sender_rank, "pads")

    def number(block: Fields) -> int:
        return int.from_bytes(as_bytes(block).tobytes(), "little")

    sender, receiver = IdealSender(dealt), IdealReceiver(dealt)
    difference = number(dealt.difference)
    q = [number(block) for size in (16, 24) for block in sender.take(size).spend()]
    drawn = [int(bit) for size in (16, 24) for bit in receiver.take(size).choices]
    rows = [0] * 12
    for i in range(8):
        a, b = int(c[i]), int(r[i])
        places = {i: 3, 8 + i: 4, 16 + i: 0, 24 + i: 1, 32 + i: 2}
        turned = {j: q[j] ^ (difference if drawn[j] != b >> bit & 1 else 0) for j, bit in places.items()}
        four = turned[i] ^ reference.sigma(turned[8 + i])
        eight = turned[16 + i] ^ times_y(turned[24 + i], 1) ^ times_y(turned[32 + i], 2)
        for u in range(1, 4):
            pads = [reference.pad_hash(key, four ^ times_four(difference, w), i, 2) & 1 for w in (u, 0)]
            rows[u - 1] |= (int(u > a >> 3) ^ pads[0] ^ pads[1]) << i
        for u in range(1, 8):
            pads = [reference.pad_hash(key, eight ^ times_eight(difference, w), 16 + i, 2) & 1 for w in (u, 0)]
            rows[u + 2] |= (int(u > a & 7) ^ pads[0] ^ pads[1]) << i
        for row, j, bit in ((10, i, 4), (11, 8 + i, 3)):
            pads = [reference.pad_hash(key, turned[j] ^ x, j, 1) & 1 for x in (0, difference)]
            rows[row] |= (pads[0] ^ pads[1] ^ 1 ^ (a >> bit & 1)) << i
    assert message.tolist() == rows


def times_four(block: int, u: int) -> int:
    return (block if u & 1 else 0) ^ (reference.sigma(block) if u & 2 else 0)


def times_y(block: int, times: int) -> int:
    """Coefficients of 32 bits: y^4 = y + 1."""
    for _ in range(times):
        highest, block = block >> 96, block << 32 & ((1 << 128) - 1)
        block ^= highest ^ highest << 32
    return block


def times_eight(block: int, u: int) -> int:
    return (block if u & 1 else 0) ^ (times_y(block, 1) if u & 2 else 0) ^ (times_y(block, 2) if u & 4 else 0)


@pytest.mark.parametrize("count", range(1, 14))
def test_tree(count: int) -> None:
    """Nodes at random: the greater one of the highest digit that is not equal."""
    widths = Widths(2 * count + 1, 0, 63)
    rng = np.random.default_rng(count)
    equal, greater = rng.integers(0, 2, (count - 1, COUNT)), rng.integers(0, 2, (count, COUNT))
    expected = greater[-1]
    for e, g in zip(equal[::-1], greater[-2::-1], strict=True):
        expected = np.where(e == 1, expected, 0) ^ g
    masks = rng.integers(0, 2, (2 * count - 1, COUNT)).astype(np.uint8)
    shares = [masks, np.concatenate([equal, greater]).astype(np.uint8) ^ masks]
    ends = ideal_parties(count)
    gates = widths.gates * COUNT
    taken = [
        (ends.model_sending.take(gates), ends.model_receiving.take(gates)),
        (ends.data_sending.take(gates), ends.data_receiving.take(gates)),
    ]
    trees = []
    for who, share in enumerate(shares):
        rows = pack_rows(share.reshape(-1), COUNT)
        trees.append(Tree(Nodes(rows[: count - 1], rows[count - 1 :]), prepare_gates(*taken[who], COUNT), who == 0))
    for size in opening_bytes(widths, COUNT):
        said = [tree.masked() for tree in trees]
        assert [len(data) for data in said] == [size, size]
        for tree in trees:
            tree.combine(said[0] ^ said[1])
    assert unpack_bits(trees[0].greater ^ trees[1].greater, COUNT).tolist() == expected.tolist()
    assert len(level_gates(count)) == widths.levels
    assert sum(level_gates(count)) == widths.gates == count - 1


def test_maximum_of_four_in_two_levels() -> None:
    """In the second level D's shares come of selections: it masks them anew, with 24 bits a value."""
    widths, parties = REFERENCE, ideal_parties(6)
    after = Widths(widths.fine, 0, widths.fine)
    values = np.random.default_rng(3).integers(-(1 << 20), 1 << 20, (4, COUNT))
    c = np.stack([random_fields(number, COUNT, widths.width) for number in range(4)])
    v = modulo(values.astype(np.uint64) - (c << np.uint64(6)), widths.fine)
    ours, theirs = [], []
    for a, b in ((0, 1), (2, 3)):
        # Within the ring of the comparison: a maximum is lifted once, after its last level.
        flat = Widths(widths.width, widths.guard_bits, widths.width)
        left, right = play_relu(flat, modulo(c[a] - c[b], 18), modulo(v[a] - v[b], 24), parties).shares
        ours.append(left + (c[b] << np.uint64(6)))
        theirs.append(right + v[b])
    fresh = FreshShare(widths, COUNT, repeatable_bytes(1))
    message = fresh.message(theirs[0] - theirs[1])
    assert len(message) == remask_bytes(widths, COUNT)
    difference = modulo(ours[0] - ours[1] + unpack_fields(message, COUNT, widths.fine), widths.fine)
    shares = play_relu(after, difference, fresh.share, parties).shares
    assert summed(after, (shares[0] + ours[1], shares[1] + theirs[1])) == values.max(axis=0).tolist()


def test_a_fresh_share_hides_what_it_replaces_and_serves_once() -> None:
    shares, bits = [], []
    for share in (np.zeros(20_000, dtype=np.uint64), random_shares(REFERENCE, 20_000, 1)[1]):
        fresh = FreshShare(REFERENCE, 20_000, repeatable_bytes(7))
        masked = unpack_fields(fresh.message(share), 20_000, REFERENCE.fine)
        np.testing.assert_array_equal(modulo(masked + fresh.share, 24), share)
        bits.append(np.unpackbits(bit_rows(masked, 0, 24), axis=1).mean(axis=1))
        shares.append(fresh)
    assert abs(np.stack(bits) - 0.5).max() < 5 * 0.5 / 20_000**0.5
    with pytest.raises(ValueError, match="a mask serves once"):
        shares[0].message(np.zeros(20_000, dtype=np.uint64))


def test_one_mask_is_not_spread_over_many_values() -> None:
    """NumPy would broadcast what was prepared for one value, and the differences of five would be told."""
    five = np.arange(5, dtype=np.uint64)
    with pytest.raises(ValueError, match=r"\(5,\) is not the 1 values"):
        FreshShare(REFERENCE, 1, repeatable_bytes(1)).message(five)
    parties = ideal_parties()
    ours, theirs = parties.material(REFERENCE, 1)
    ready, _, _ = converse(
        relu.prepare_model_owner(REFERENCE, 1, ours), relu.prepare_data_owner(REFERENCE, five[:1], theirs)
    )
    with pytest.raises(ValueError, match=r"\(5,\) is not the 1 values"):
        next(relu.relu_model_owner(REFERENCE, ready, five))


@pytest.mark.parametrize("count", [1, 8, 13, 800])
@pytest.mark.parametrize(("first", "size"), [(0, 3), (3, 14), (17, 1), (5, 59), (63, 1), (3, 0)])
def test_rows_of_bits(count: int, first: int, size: int) -> None:
    """Against one shift a bit; what a row has beyond its values is zero."""
    numbers = np.random.default_rng(size).integers(0, 1 << 64, count, dtype=np.uint64)
    rows = bit_rows(numbers, first, size)
    assert rows.shape == (size, -(-count // 8))
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    for place in range(size):
        assert bits[place, :count].tolist() == [int(number) >> (first + place) & 1 for number in numbers]
    assert not bits[:, count:].any()


@pytest.mark.parametrize("count", [1, 8, 101, 800])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 18])
def test_turning_rows_is_turning_transfers(width: int, count: int) -> None:
    """All that M keeps, turned after hashing, is what it would have hashed after turning the transfers."""
    widths, dealt = Widths(width, 0, width), _Dealt(5)
    receiver = IdealReceiver(dealt)
    sizes = (2 * widths.pairs * count, 3 * widths.has_triple * count)
    flips, _ = choose(widths, receiver_pads(widths, *map(receiver.take, sizes), count), random_fields(1, count, width))
    sender = IdealSender(dealt)
    found = turn(widths, sender_pads(widths, *map(sender.take, sizes), count), flips, count)
    sender, lines = IdealSender(dealt), np.split(flips, [-(-sizes[0] // 8)])
    batches = [
        turned_first(sender.take(size), unpack_bits(line, size)) for size, line in zip(sizes, lines, strict=True)
    ]
    for got, expected in zip(found, sender_pads(widths, *batches, count), strict=True):
        np.testing.assert_array_equal(got, expected)
