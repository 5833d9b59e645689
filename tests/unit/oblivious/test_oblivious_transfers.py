"""What is made of correlated transfers: results, exact bytes, views, and that nothing serves twice."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from oblivious_harness import INSTANCE, opened, random_fields

from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.oblivious import hashing, one_of_eight, one_of_four, one_of_two
from smule_crypten.oblivious.blocks import Bits, Blocks, unpack_bits
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots, Use, fields
from smule_crypten.oblivious.hashing import Hashes, PadHash, TreeHash
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


def turned(ends: Ends, choices: Bits) -> tuple[SenderCots, ReceiverCots, int]:
    """Batches at these choices, and the bytes that it took."""
    sender, receiver = batches(ends, len(choices))
    flips, receiver = receiver.towards(choices)
    return sender.turned(flips), receiver, len(flips)


def random_choices(seed: int, count: int, most: int = 2) -> Bits:
    return np.random.default_rng(seed).integers(0, most, count).astype(np.uint8)


@pytest.mark.parametrize("width", WIDTHS)
def test_random_transfers(ends: Ends, width: int) -> None:
    sender, receiver = batches(ends, 1001)
    choices = receiver.choices
    first, second = one_of_two.send_random(sender, width)
    got = one_of_two.receive_random(receiver, width)
    np.testing.assert_array_equal(got, np.where(choices == 1, second, first))
    assert int(first.max()) < 1 << width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 1003])
def test_chosen_transfers(ends: Ends, width: int, count: int) -> None:
    choices = random_choices(width, count)
    sender, receiver, turning = turned(ends, choices)
    first, second = random_fields(1, count, width), random_fields(2, count, width)
    message = one_of_two.send_chosen(sender, first, second, width)
    np.testing.assert_array_equal(
        one_of_two.receive_chosen(receiver, message, width), np.where(choices == 1, second, first)
    )
    assert turning == -(-count // 8)
    assert len(message) == one_of_two.chosen_bytes(count, width) == 2 * packed_bytes(count, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_times_bit(ends: Ends, width: int) -> None:
    count = 1003
    choices, factors = random_choices(width, count), random_fields(3, count, width)
    sender, receiver, _ = turned(ends, choices)
    message, own = one_of_two.send_times_bit(sender, factors, width)
    theirs = one_of_two.receive_times_bit(receiver, message, width)
    mask = np.uint64((1 << width) - 1)
    np.testing.assert_array_equal((own + theirs) & mask, factors * choices)
    assert len(message) == one_of_two.times_bit_bytes(count, width) == packed_bytes(count, width)


@pytest.mark.parametrize("width", [1, 3, 18, 64])
@pytest.mark.parametrize("count", [1, 1003])
def test_one_of_four(ends: Ends, width: int, count: int) -> None:
    """Chosen, then as shares."""
    values = random_choices(width, count, most=4)
    tables = [random_fields(number, count, width) for number in range(4)]
    expected = np.stack(tables)[values, np.arange(count)]
    sender, receiver, turning = turned(ends, one_of_four.choice_bits(values))
    message = one_of_four.send_chosen(sender, tables, width)
    np.testing.assert_array_equal(one_of_four.receive_chosen(receiver, message, width), expected)
    assert turning == -(-2 * count // 8)
    assert len(message) == one_of_four.chosen_bytes(count, width)
    sender, receiver, _ = turned(ends, one_of_four.choice_bits(values))
    message, own = one_of_four.send_shared(sender, tables, width)
    np.testing.assert_array_equal(own ^ one_of_four.receive_shared(receiver, message, width), expected)
    assert len(message) == one_of_four.shared_bytes(count, width) == 3 * packed_bytes(count, width)


def test_one_of_eight(ends: Ends) -> None:
    """The receiver's pad is the one of its choice; the seven others are fair coins to it, and to each other."""
    count = 10_000
    values = random_choices(8, count, most=8)
    sender, receiver, _ = turned(ends, np.concatenate([values >> bit & 1 for bit in range(3)]))
    pads, own = np.stack(one_of_eight.send_bits(sender)), one_of_eight.receive_bits(receiver)
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


def test_wide_triples() -> None:
    """Two bits of b and c for one bit of a: two products that share a factor."""
    first_sender, second_receiver, _ = opened(Plan(start=B10, main=B10), seed=1)
    second_sender, first_receiver, _ = opened(Plan(start=B10, main=B10), seed=2)
    ours = make_triples(first_sender.take(5001), first_receiver.take(5001), 2)
    theirs = make_triples(second_sender.take(5001), second_receiver.take(5001), 2)
    a, b, c = (x ^ y for x, y in zip(ours, theirs, strict=True))
    np.testing.assert_array_equal(c, a * b)
    assert np.bincount(4 * a + b, minlength=8).min() > 500


def test_triples() -> None:
    """From one instance each way; a and b are uniform and so are all shares."""
    first_sender, second_receiver, _ = opened(Plan(start=B10, main=B10), seed=1)
    second_sender, first_receiver, _ = opened(Plan(start=B10, main=B10), seed=2)
    count = 20_001
    ours = make_triples(first_sender.take(count), first_receiver.take(count))
    theirs = make_triples(second_sender.take(count), second_receiver.take(count))
    a, b, c = (x ^ y for x, y in zip(ours, theirs, strict=True))
    np.testing.assert_array_equal(c, a & b)
    limit = 5 * 0.5 / count**0.5
    for bits in (*ours, *theirs, a, b, a ^ b, *(ours[i] ^ x for i in range(3) for x in (*theirs[:2], a, b))):
        assert abs(bits.mean() - 0.5) < limit
    assert all(not (x & ~np.uint8(1)).any() for x in (*ours, *theirs))


def test_triples_need_as_many_of_both(ends: Ends) -> None:
    sender, receiver = batches(ends, 4)
    with pytest.raises(ValueError, match="as many"):
        make_triples(sender, receiver.halves()[0])


def test_choices_are_uniform_and_hide_what_is_asked(ends: Ends) -> None:
    """The sender's view of a turning: uniform bits, whatever the choices; here, all ones, all zeros, and a pattern."""
    count = 40_000
    for choices in (np.ones(count), np.zeros(count), np.arange(count) % 2):
        _, receiver = batches(ends, count)
        drawn = receiver.choices
        flips = unpack_bits(receiver.towards(choices.astype(np.uint8))[0], count)
        limit = 5 * 0.5 / count**0.5
        for bits in (drawn, flips, flips ^ choices.astype(np.uint8)):
            assert abs(bits.mean() - 0.5) < limit
            for lag in (1, 2, 8, 1024):
                assert abs((bits[lag:] ^ bits[:-lag]).mean() - 0.5) < 1.1 * limit


def pads_look_right(known: Blocks, other: Blocks) -> bool:
    """What the receiver does not know: uniform, without a relation to what it knows, and no relation comes twice."""
    bits = [np.unpackbits(pads.view(np.uint8), axis=1) for pads in (known, other)]
    limit = 5 * 0.5 / len(known) ** 0.5
    even = all(abs(side.mean(axis=0) - 0.5).max() < limit for side in (bits[1], bits[0] ^ bits[1]))
    return bool(even) and len(np.unique(known ^ other, axis=0)) == len(known)


def test_the_other_pad_is_uniform_to_the_receiver(ends: Ends) -> None:
    """With the negative control: blocks that were not hashed differ by D in all transfers."""
    sender, receiver = batches(ends, 10_000)
    blocks, own, difference = sender.spend(), receiver.spend(), sender.difference
    known = receiver.hashed(own, Use.PAIR)
    assert pads_look_right(known, receiver.hashed(own ^ difference, Use.PAIR))
    assert not pads_look_right(own, own ^ difference)
    assert ((own == blocks) | (own == blocks ^ difference)).all()


def test_pads_of_one_block_have_nothing_in_common(ends: Ends) -> None:
    """A tweak for each number and use. Negative control: a hash that forgets its tweak gives the same pad twice."""
    sender, _ = batches(ends, 500)
    blocks = sender.spend()
    same_block = np.repeat(blocks[:1], 500, axis=0)
    pads = [sender.hashed(same_block, use) for use in Use]
    assert len(np.unique(np.concatenate(pads), axis=0)) == 1000
    broken = _ForgetsTweak(hashing.public_key(INSTANCE, hashing.PADS))
    other = SenderCots(broken, 0, same_block, sender.difference)
    assert len(np.unique(np.concatenate([other.hashed(same_block, use) for use in Use]), axis=0)) == 1


class _ForgetsTweak(PadHash):
    def __call__(self, blocks: Blocks, tweaks: Blocks) -> Blocks:
        return super().__call__(blocks, np.zeros_like(tweaks))


def four_pads_sum_to_zero(pads: list[np.ndarray[tuple[int, ...], np.dtype[np.uint64]]]) -> bool:
    return not (pads[0] ^ pads[1] ^ pads[2] ^ pads[3]).any()


def test_pads_of_one_of_four_are_not_a_xor_of_two(ends: Ends) -> None:
    """With three entries of a public table, the fourth would be known. Negative control: xor of two pads a value."""
    sender, _ = batches(ends, 2000)
    assert not four_pads_sum_to_zero(one_of_four.send_random(sender, 64))
    low, high = batches(ends, 2000)[0].halves()
    pairs = [one_of_two.send_random(half, 64) for half in (low, high)]
    assert four_pads_sum_to_zero([pairs[0][v & 1] ^ pairs[1][v >> 1] for v in range(4)])


def test_all_pads_of_one_of_four_are_uniform_to_the_receiver(ends: Ends) -> None:
    sender, receiver = batches(ends, 20_000)
    values = one_of_four._values(receiver)
    pads = np.stack(one_of_four.send_random(sender, 64))
    own = one_of_four.receive_random(receiver, 64)
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
    """Turned, hashed, halved: each time the batch is gone, so no tweak comes twice and no two flips are compared."""
    sender, receiver = batches(ends, 8)
    choices = np.zeros(8, dtype=np.uint8)
    flips, other = receiver.towards(choices)
    again = sender.turned(flips)
    for spent in (lambda: receiver.towards(choices), lambda: receiver.halves(), lambda: sender.turned(flips)):
        with pytest.raises(ValueError, match="a transfer serves once"):
            spent()
    one_of_two.send_random(again, 5)
    one_of_two.receive_random(other, 5)
    with pytest.raises(ValueError, match="a transfer serves once"):
        one_of_two.send_random(again, 5)
    with pytest.raises(ValueError, match="a transfer serves once"):
        one_of_two.receive_random(other, 5)


def test_a_turned_batch_is_not_turned_again(ends: Ends) -> None:
    """Two messages of flips would show the sender the sum of two choices; a triple of chosen a is none."""
    choices = np.zeros(8, dtype=np.uint8)
    sender, receiver, _ = turned(ends, choices)
    fresh_sender, fresh_receiver = batches(ends, 8)
    refused = (
        lambda: receiver.towards(choices),
        lambda: sender.turned(np.zeros(1, dtype=np.uint8)),
        lambda: make_triples(sender, fresh_receiver),
        lambda: make_triples(fresh_sender, receiver),
    )
    for misuse in refused:
        with pytest.raises(ValueError, match="are turned; take others"):
            misuse()
    halves = *sender.halves(), *receiver.halves()
    assert all(half.is_turned for half in halves)
    make_triples(fresh_sender, fresh_receiver)


@pytest.mark.parametrize("wrong", [np.array([0, 4], np.uint8), np.array([0, 1]), np.zeros((2, 1), np.uint8)])
def test_other_choices_are_refused(ends: Ends, wrong: Bits) -> None:
    """A choice above 1 would be cut to a bit in the message, and stand uncut in what is computed. Nothing is spent."""
    sender, receiver = batches(ends, len(wrong))
    with pytest.raises(ValueError, match=r"choices are|take as many choices"):
        receiver.towards(wrong)
    with pytest.raises(ValueError, match="choices are"):
        one_of_four.choice_bits(wrong)
    sender.turned(receiver.towards(np.ones(2, dtype=np.uint8))[0])


@pytest.mark.parametrize("wrong", [np.ones(6), np.ones(1, np.uint64), np.ones((6, 1), np.uint64), np.ones(6, np.int64)])
def test_other_integers_are_refused_before_anything_is_spent(ends: Ends, wrong: Any) -> None:
    """Floats would be read as they lie in memory, and a single integer be repeated for all."""
    right = random_fields(1, 6, 9)
    sender, receiver, _ = turned(ends, random_choices(1, 6))
    four, _, _ = turned(ends, random_choices(1, 12))
    refused = (
        lambda: one_of_two.send_chosen(sender, right, wrong, 9),
        lambda: one_of_two.send_chosen(sender, wrong, right, 9),
        lambda: one_of_two.send_times_bit(sender, wrong, 9),
        lambda: one_of_four.send_chosen(four, [right, right, right, wrong], 9),
        lambda: one_of_four.send_shared(four, [wrong, right, right, right], 9),
        lambda: one_of_two.receive_times_bit(receiver, wrong, 9),
        lambda: one_of_two.receive_chosen(receiver, wrong, 9),
    )
    for misuse in refused:
        with pytest.raises(ValueError, match="integers"):
            misuse()
    message, own = one_of_two.send_times_bit(sender, right, 9)
    assert ((own + one_of_two.receive_times_bit(receiver, message, 9)) % 512 == right * receiver.choices % 512).all()
    one_of_four.send_chosen(four, [right] * 4, 9)


@pytest.mark.parametrize("width", [0, 65])
def test_another_width_spends_nothing(ends: Ends, width: int) -> None:
    sender, receiver = batches(ends, 2)
    for use in (one_of_two, one_of_four):
        with pytest.raises(ValueError, match="1 to 64 bits"):
            use.send_random(sender, width)
        with pytest.raises(ValueError, match="1 to 64 bits"):
            use.receive_random(receiver, width)
    one_of_two.send_random(sender, 1)
    one_of_two.receive_random(receiver, 1)


@pytest.mark.parametrize("width", [1, 18, 64])
def test_none_at_all(ends: Ends, width: int) -> None:
    """A layer may have nothing to compare: every transfer of 0 integers has a message of 0 bytes, and a result."""
    none = random_fields(1, 0, width)
    sender, receiver, _ = turned(ends, none.astype(np.uint8))
    message = one_of_two.send_chosen(sender, none, none, width)
    assert not len(message)
    assert one_of_two.receive_chosen(receiver, message, width).shape == (0,)
    sender, receiver, _ = turned(ends, none.astype(np.uint8))
    message, own = one_of_two.send_times_bit(sender, none, width)
    assert own.shape == one_of_two.receive_times_bit(receiver, message, width).shape == (0,)
    sender, receiver, _ = turned(ends, one_of_four.choice_bits(none.astype(np.uint8)))
    message, own = one_of_four.send_shared(sender, [none] * 4, width)
    assert own.shape == one_of_four.receive_shared(receiver, message, width).shape == (0,)


def test_misuse_is_refused(ends: Ends) -> None:
    sender, receiver = batches(ends, 3)
    with pytest.raises(ValueError, match="no halves"):
        sender.halves()
    with pytest.raises(ValueError, match="as many choices"):
        receiver.towards(np.zeros(4, dtype=np.uint8))
    with pytest.raises(ValueError, match="3 bits are 1 bytes, got 2"):
        sender.turned(np.zeros(2, dtype=np.uint8))
    with pytest.raises(ValueError, match="1 to 64 bits"):
        fields(sender.spend(), 65)
    with pytest.raises(ValueError, match=r"are 9 bytes, got uint8 \(3,\)"):
        unpack_fields(np.zeros(3, dtype=np.uint8), 9, 8)


@pytest.mark.parametrize("width", WIDTHS)
def test_packing(width: int) -> None:
    values = random_fields(1, 101, width)
    data = pack_fields(values, width)
    assert len(data) == packed_bytes(101, width)
    np.testing.assert_array_equal(unpack_fields(data, 101, width), values)
