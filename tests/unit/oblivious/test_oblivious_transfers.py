"""What is made of correlated transfers: results, exact bytes, views, and that nothing serves twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from oblivious_harness import INSTANCE, opened, random_fields

from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.oblivious import hashing, one_of_eight, one_of_four, one_of_two
from smule_crypten.oblivious.blocks import Bits, Blocks, Bytes, unpack_bits
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots, Use
from smule_crypten.oblivious.hashing import Hashes, PadHash, TreeHash
from smule_crypten.oblivious.one_of_two import ReceiverPads
from smule_crypten.oblivious.parameters import B10, Plan
from smule_crypten.oblivious.silent import SilentReceiver, SilentSender
from smule_crypten.oblivious.triples import make_triples
from smule_crypten.oblivious.wire import pack_fields, unpack_fields

Ends = tuple[SilentSender, SilentReceiver]
WIDTHS = [1, 2, 7, 16, 18, 33, 64]


@pytest.fixture(scope="module")
def ends() -> Ends:
    return opened(Plan(start=B10, main=B10), stock=1 << 16)[:2]


def batches(ends: Ends, count: int) -> tuple[SenderCots, ReceiverCots]:
    sender, receiver = ends
    return sender.take(count), receiver.take(count)


def at_choices(ends: Ends, choices: Bits, width: int) -> tuple[Pads, ReceiverPads]:
    """Pads of one of two, made at random choices and turned to these."""
    sender, receiver = batches(ends, len(choices))
    pads, received = one_of_two.send_random(sender, width), one_of_two.receive_random(receiver, width)
    flips, received = one_of_two.towards(received, choices)
    assert len(flips) == -(-len(choices) // 8)
    return one_of_two.turned(pads, flips), received


def random_choices(seed: int, count: int, most: int = 2) -> Bits:
    return np.random.default_rng(seed).integers(0, most, count).astype(np.uint8)


@pytest.mark.parametrize("width", WIDTHS)
def test_random_transfers(ends: Ends, width: int) -> None:
    """In the smallest integers that hold them."""
    sender, receiver = batches(ends, 1001)
    choices = receiver.choices
    first, second = one_of_two.send_random(sender, width)
    got = one_of_two.receive_random(receiver, width)
    np.testing.assert_array_equal(got.pads, np.where(choices == 1, second, first))
    np.testing.assert_array_equal(unpack_bits(got.choices, 1001), choices)
    assert int(first.max()) < 1 << width
    assert first.itemsize == min(size for size in (1, 2, 4, 8) if 8 * size >= width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 1003])
def test_chosen_transfers(ends: Ends, width: int, count: int) -> None:
    """After turning the receiver has the pad of the choice that it made."""
    choices = random_choices(width, count)
    (first, second), received = at_choices(ends, choices, width)
    np.testing.assert_array_equal(received.pads, np.where(choices == 1, second, first))
    np.testing.assert_array_equal(unpack_bits(received.choices, count), choices)


@pytest.mark.parametrize("width", WIDTHS)
def test_times_bit(ends: Ends, width: int) -> None:
    count = 1003
    choices, factors = random_choices(width, count), random_fields(3, count, width)
    pads, received = at_choices(ends, choices, width)
    message, own = one_of_two.send_times_bit(pads, factors, width)
    theirs = one_of_two.receive_times_bit(received, message, width)
    mask = np.uint64((1 << width) - 1)
    np.testing.assert_array_equal((own + theirs) & mask, factors * choices)
    assert len(message) == packed_bytes(count, width)


@pytest.mark.parametrize("width", [1, 3, 18, 64])
@pytest.mark.parametrize("count", [1, 1003])
def test_one_of_four(ends: Ends, width: int, count: int) -> None:
    """The receiver's pad is that of its choice; and so is each of its pads for products."""
    sender, receiver = batches(ends, 2 * count)
    low, high = np.split(receiver.choices, 2)
    columns = np.arange(count)
    pads, pairs = one_of_four.send_random(sender, width, count)
    got, got_pairs = one_of_four.receive_random(receiver, width, count)
    np.testing.assert_array_equal(got, pads[low + 2 * high, columns])
    for pair, own, choices in zip(pairs, got_pairs, (low, high), strict=True):
        np.testing.assert_array_equal(own, pair[choices, columns])


def test_one_of_eight(ends: Ends) -> None:
    """The receiver's pad is the one of its choice; the seven others are fair coins to it, and to each other."""
    count = 10_000
    sender, receiver = batches(ends, 3 * count)
    values = (receiver.choices.reshape(3, count) << np.arange(3, dtype=np.uint8)[:, None]).sum(axis=0)
    pads, own = one_of_eight.send_random(sender, 1), one_of_eight.receive_random(receiver, 1)
    columns = np.arange(count)
    np.testing.assert_array_equal(pads[values, columns], own)
    views = [pads[values ^ step, columns] for step in range(8)]
    limit = 5 * 0.5 / count**0.5
    for first, view in enumerate(views):
        assert abs(view.mean() - 0.5) < limit
        assert all(abs((view ^ other).mean() - 0.5) < limit for other in views[:first])
        assert all(abs((view ^ a ^ b).mean() - 0.5) < limit for a, b in combinations(views[:first], 2))


def test_no_two_pads_of_eight_differ_by_less_than_the_difference() -> None:
    """u D xor v D determines D: each of the seven maps of 128 bits has full rank."""
    units = np.zeros((128, 2), dtype=np.uint64)
    for bit in range(128):
        units[bit, bit // 64] = np.uint64(1) << np.uint64(bit % 64)
    zero = np.zeros_like(units)
    for u in range(1, 8):
        image = one_of_eight._combined(np.concatenate([units if u >> bit & 1 else zero for bit in range(3)]))
        assert rank(image) == 128


def rank(blocks: Blocks) -> int:
    rows = [int(block[0]) | int(block[1]) << 64 for block in blocks]
    found = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            found += 1
            lowest = pivot & -pivot
            rows = [row ^ pivot if row & lowest else row for row in rows]
    return found


def opened_triples(count: int, width: int, rows: int) -> tuple[list[Bytes], list[Bytes]]:
    """Both parties' shares, from one instance each way: a bit a byte, a (n,), b and c (width, n)."""
    first_sender, second_receiver, _ = opened(Plan(start=B10, main=B10), seed=1)
    second_sender, first_receiver, _ = opened(Plan(start=B10, main=B10), seed=2)
    both = (
        make_triples(first_sender.take(rows * count), first_receiver.take(rows * count), width, count),
        make_triples(second_sender.take(rows * count), second_receiver.take(rows * count), width, count),
    )
    ours, theirs = (
        [np.unpackbits(x, axis=-1, count=count, bitorder="little").reshape(*x.shape[:-2], -1) for x in party]
        for party in both
    )
    return ours, theirs


@pytest.mark.parametrize(("count", "rows"), [(5001, 1), (1667, 3), (1600, 3)])
def test_wide_triples(count: int, rows: int) -> None:
    """Two bits of b and c for one bit of a: two products that share a factor."""
    ours, theirs = opened_triples(count, 2, rows)
    a, b, c = (x ^ y for x, y in zip(ours, theirs, strict=True))
    np.testing.assert_array_equal(c, a & b)
    assert np.bincount(4 * a + 2 * b[1] + b[0], minlength=8).min() > 500


def test_triples() -> None:
    """From one instance each way; a and b are uniform and so are all shares."""
    count = 20_001
    ours, theirs = ([x.reshape(-1) for x in party] for party in opened_triples(count, 1, 1))
    a, b, c = (x ^ y for x, y in zip(ours, theirs, strict=True))
    np.testing.assert_array_equal(c, a & b)
    limit = 5 * 0.5 / count**0.5
    for bits in (*ours, *theirs, a, b, a ^ b, *(ours[i] ^ x for i in range(3) for x in (*theirs[:2], a, b))):
        assert abs(bits.mean() - 0.5) < limit
    assert all(len(x) == count for x in (*ours, *theirs))


def test_triples_need_as_many_of_both(ends: Ends) -> None:
    with pytest.raises(ValueError, match="as many"):
        make_triples(batches(ends, 4)[0], batches(ends, 2)[1], 1, 2)


def test_choices_are_uniform_and_hide_what_is_asked(ends: Ends) -> None:
    """The sender's view of a turning: uniform bits, whatever the choices; here, all ones, all zeros, and a pattern."""
    count = 40_000
    for choices in (np.ones(count), np.zeros(count), np.arange(count) % 2):
        _, receiver = batches(ends, count)
        drawn = receiver.choices
        message, _ = one_of_two.towards(one_of_two.receive_random(receiver, 1), choices.astype(np.uint8))
        flips = unpack_bits(message, count)
        limit = 5 * 0.5 / count**0.5
        for bits in (drawn, flips, flips ^ choices.astype(np.uint8)):
            assert abs(bits.mean() - 0.5) < limit
            for lag in (1, 2, 8, 1024):
                assert abs((bits[lag:] ^ bits[:-lag]).mean() - 0.5) < 1.1 * limit


def pads_look_right(known: Pads, other: Pads) -> bool:
    """What the receiver does not know: uniform, without a relation to what it knows, and no relation comes twice."""
    bits = [np.unpackbits(pads.view(np.uint8).reshape(len(pads), -1), axis=1) for pads in (known, other)]
    limit = 5 * 0.5 / len(known) ** 0.5
    even = all(abs(side.mean(axis=0) - 0.5).max() < limit for side in (bits[1], bits[0] ^ bits[1]))
    return bool(even) and len(np.unique(known ^ other, axis=0)) == len(known)


def test_the_other_pad_is_uniform_to_the_receiver(ends: Ends) -> None:
    """With the negative control: blocks that were not hashed differ by D in all transfers."""
    sender, receiver = batches(ends, 10_000)
    blocks, own, difference = sender.spend(), receiver.spend(), sender.difference
    known = receiver.pads(own, Use.PAIR, 64)
    assert pads_look_right(known, receiver.pads(own ^ difference, Use.PAIR, 64))
    assert not pads_look_right(own, own ^ difference)
    assert ((own == blocks) | (own == blocks ^ difference)).all()


def test_pads_are_the_hash_of_block_number_and_use(ends: Ends) -> None:
    """Against the hash itself, over more transfers than are hashed at once and from an odd place on; any width."""
    sender, _ = batches(ends, 20_000)
    blocks, multiples = sender.spend(), one_of_two.multiples(sender.difference)
    tweaks = np.zeros_like(blocks)
    tweaks[:, 0] = sender._first + 77 + np.arange(20_000)
    tweaks[:, 1] = Use.TABLE
    for width in (1, 8, 24, 64):
        pads = sender.pads(blocks, multiples, Use.TABLE, width, start=77)
        for found, multiple in zip(pads, multiples, strict=True):
            hashed = Hashes(INSTANCE).pads(blocks ^ multiple, tweaks)[:, 0] & np.uint64((1 << width) - 1)
            np.testing.assert_array_equal(found, hashed)


def test_pads_of_one_block_have_nothing_in_common(ends: Ends) -> None:
    """A tweak for each number and use. Negative control: a hash that forgets its tweak gives the same pad twice."""
    sender, _ = batches(ends, 500)
    same_block, none = np.repeat(sender.spend()[:1], 500, axis=0), np.zeros((1, 2), dtype=np.uint64)
    pads = [sender.pads(same_block, none, use, 64) for use in Use]
    assert len(np.unique(np.concatenate(pads))) == 1000
    broken = _ForgetsTweak(hashing.public_key(INSTANCE, hashing.PADS))
    other = SenderCots(broken, 0, same_block, sender.difference)
    assert len(np.unique(np.concatenate([other.pads(same_block, none, use, 64) for use in Use]))) == 1


class _ForgetsTweak(PadHash):
    def halves(self, blocks: Blocks, tweaks: Blocks) -> tuple[Blocks, Blocks]:
        return super().halves(blocks, np.zeros_like(tweaks))


def four_pads_sum_to_zero(pads: Sequence[Pads] | Pads) -> bool:
    return not (pads[0] ^ pads[1] ^ pads[2] ^ pads[3]).any()


def test_pads_of_one_of_four_are_not_a_xor_of_two(ends: Ends) -> None:
    """With three entries of a public table, the fourth would be known. Negative control: xor of two pads a value."""
    sender, _ = batches(ends, 2000)
    four, pairs = one_of_four.send_random(sender, 64, 1000)
    assert not four_pads_sum_to_zero(four)
    assert four_pads_sum_to_zero([pairs[0][v & 1] ^ pairs[1][v >> 1] for v in range(4)])


def test_all_pads_of_one_of_four_are_uniform_to_the_receiver(ends: Ends) -> None:
    sender, receiver = batches(ends, 20_000)
    low, high = np.split(receiver.choices, 2)
    values = low + 2 * high
    pads, _ = one_of_four.send_random(sender, 64)
    own, _ = one_of_four.receive_random(receiver, 64)
    columns = np.arange(10_000)
    np.testing.assert_array_equal(pads[values, columns], own)
    limit = 5 * 0.5 / 10_000**0.5
    for step in (1, 2, 3):
        other = pads[values ^ step, columns]
        for view in (other, other ^ own):
            bits = np.unpackbits(view.view(np.uint8).reshape(-1, 8), axis=1)
            assert abs(bits.mean(axis=0) - 0.5).max() < limit


def pads_are_under_a_key_of_their_own(hashes: Hashes) -> bool:
    """pi of the tree at x, from H(sigma^-1(x)) xor x; a pad with tweak pi(y) xor x is that of x xor pi(y), if pi is."""
    y, tweak = np.array([[3, 4]], dtype=np.uint64), np.zeros((1, 2), dtype=np.uint64)
    inner = _tree_permutation(hashes, y)
    return not (hashes.pads(y, tweak) == _tree_permutation(hashes, inner) ^ inner).any()


def _tree_permutation(hashes: Hashes, block: Blocks) -> Blocks:
    # sigma(l || r) = (l xor r) || l, so sigma^-1(a || b) = b || (a xor b); word 1 is the upper half.
    source, out = np.stack([block[:, 1] ^ block[:, 0], block[:, 0]], axis=1), np.empty_like(block)
    TreeHash(hashes.tree_key(0))(source, out)
    return out ^ block


def test_pads_under_the_key_of_the_tree_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pads_are_under_a_key_of_their_own(Hashes(INSTANCE))
    monkeypatch.setattr(hashing, "PADS", f"{hashing.TREE}|0")
    assert not pads_are_under_a_key_of_their_own(Hashes(INSTANCE))


def test_a_batch_serves_once(ends: Ends) -> None:
    """Hashed for any use, the batch is gone: no tweak comes twice."""
    for size, use in ((4, one_of_two), (4, one_of_four), (6, one_of_eight)):
        sender, receiver = batches(ends, size)
        use.send_random(sender, 5)  # type: ignore[attr-defined]
        use.receive_random(receiver, 5)  # type: ignore[attr-defined]
        for again in (one_of_two, one_of_four, one_of_eight):
            with pytest.raises(ValueError, match="a transfer serves once"):
                again.send_random(sender, 5)  # type: ignore[attr-defined]
            with pytest.raises(ValueError, match="a transfer serves once"):
                again.receive_random(receiver, 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [np.ones(6), np.ones(1, np.uint64), np.ones((6, 1), np.uint64), np.ones(6, np.int64)])
def test_other_integers_are_refused(ends: Ends, wrong: Any) -> None:
    """Floats would be read as they lie in memory, and a single integer be repeated for all."""
    pads, received = at_choices(ends, random_choices(1, 6), 9)
    for misuse in (
        lambda: one_of_two.send_times_bit(pads, wrong, 9),
        lambda: one_of_two.receive_times_bit(received, wrong, 9),
    ):
        with pytest.raises(ValueError, match="integers"):
            misuse()


@pytest.mark.parametrize("wrong", [np.zeros(5, np.uint8), np.zeros(1, np.uint8), np.zeros((6, 1), np.uint8)])
def test_other_choices_are_refused(ends: Ends, wrong: Bits) -> None:
    """NumPy would spread the flips of eight over many, and the choices of all these be told."""
    _, receiver = batches(ends, 6)
    with pytest.raises(ValueError, match="6 transfers take as many choices"):
        one_of_two.towards(one_of_two.receive_random(receiver, 1), wrong)


@pytest.mark.parametrize("width", [0, 65])
def test_another_width_spends_nothing(ends: Ends, width: int) -> None:
    sender, receiver = batches(ends, 6)
    for use in (one_of_two, one_of_four, one_of_eight):
        with pytest.raises(ValueError, match="1 to 64 bits"):
            use.send_random(sender, width)  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="1 to 64 bits"):
            use.receive_random(receiver, width)  # type: ignore[attr-defined]
    one_of_two.send_random(sender, 1)
    one_of_two.receive_random(receiver, 1)


@pytest.mark.parametrize("width", [1, 18, 64])
def test_none_at_all(ends: Ends, width: int) -> None:
    """Every transfer of 0 integers has pads, a message of 0 bytes, and a result."""
    none = random_fields(1, 0, width)
    pads, received = at_choices(ends, none.astype(np.uint8), width)
    message, own = one_of_two.send_times_bit(pads, none, width)
    assert not len(message)
    assert own.shape == one_of_two.receive_times_bit(received, message, width).shape == (0,)
    sender, receiver = batches(ends, 0)
    assert one_of_four.send_random(sender, width)[0].shape == (4, 0)
    assert one_of_four.receive_random(receiver, width)[0].shape == (0,)
    assert one_of_eight.send_random(batches(ends, 0)[0], width).shape == (8, 0)


def test_misuse_is_refused(ends: Ends) -> None:
    sender, receiver = batches(ends, 3)
    with pytest.raises(ValueError, match="no halves"):
        one_of_four.send_random(sender, 1)
    with pytest.raises(ValueError, match="no halves"):
        one_of_four.receive_random(receiver, 1)
    with pytest.raises(ValueError, match="3 bits are 1 bytes, got 2"):
        one_of_two.turned(one_of_two.send_random(sender, 1), np.zeros(2, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"9 integers of 8 bits are 9 bytes, got uint8 \(3,\)"):
        unpack_fields(np.zeros(3, dtype=np.uint8), 9, 8)


@pytest.mark.parametrize("width", WIDTHS)
def test_packing(width: int) -> None:
    values = random_fields(1, 101, width)
    data = pack_fields(values, width)
    assert len(data) == packed_bytes(101, width)
    np.testing.assert_array_equal(unpack_fields(data, 101, width), values)
