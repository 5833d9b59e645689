"""A whole ReLU and a truncation: results against plain integers, exact bytes and messages, nothing serves twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comparison_harness import (
    REFERENCE,
    Parties,
    expected_relu,
    expected_sizes,
    ideal_parties,
    play_relu,
    random_shares,
    real_parties,
    signed,
    summed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oblivious_harness import converse, random_fields

from smule_crypten.comparison import relu
from smule_crypten.comparison.conversation import Conversation, Part, Turn
from smule_crypten.comparison.cost import relu_cost, truncation_cost
from smule_crypten.comparison.truncation import truncate_data_owner, truncate_model_owner
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.lattice.truncation import data_owner_share, model_owner_share
from smule_crypten.mpc.streams import Stream
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.script import Script, Want


@pytest.fixture(scope="module")
def parties() -> Parties:
    return ideal_parties()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Widths, Fields, Fields]:
    """Widths, and shares of values that lie at an edge as often as not."""
    width, guard = draw(st.integers(3, 34)), draw(st.integers(0, 9))
    widths = Widths(width, guard, draw(st.integers(width, min(width + 24, 64 - guard))))
    top = 1 << (widths.fine - 1)
    edges = st.sampled_from([0, 1, -1, top - 1, -top, (1 << guard) - 1, -(1 << guard), 1 - (1 << guard), 1 << guard])
    values = draw(st.lists(edges | st.integers(-top, top - 1), min_size=1, max_size=20))
    own = st.sampled_from([0, 1, (1 << width) - 1, 1 << (width - 1)]) | st.integers(0, (1 << width) - 1)
    c = [draw(own) for _ in values]
    v = [(value - (one << guard)) % (1 << widths.fine) for value, one in zip(values, c, strict=True)]
    return widths, np.array(c, dtype=np.uint64), np.array(v, dtype=np.uint64)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_relu_of_any_values(case: tuple[Widths, Fields, Fields]) -> None:
    widths, c, v = case
    played = play_relu(widths, c, v, ideal_parties())
    assert summed(widths, played.shares) == expected_relu(widths, c, v)


@pytest.mark.parametrize(
    "widths", [Widths(4, 2, 9), Widths(5, 1, 8), Widths(3, 3, 3), Widths(4, 0, 20), Widths(6, 0, 9)]
)
def test_relu_of_all_shares(widths: Widths, parties: Parties) -> None:
    """Every pair of shares of a few bits: r = 0, c = r, all that wraps, the largest and the smallest value."""
    c, v = (side.reshape(-1) for side in np.mgrid[: 1 << widths.width, : 1 << widths.fine].astype(np.uint64))
    played = play_relu(widths, c, v, parties)
    assert summed(widths, played.shares) == expected_relu(widths, c, v)


def test_relu_of_100_000_values_with_real_transfers() -> None:
    """A third of them within two units of zero."""
    count = 100_000
    c, v = random_shares(REFERENCE, count, 3)
    near = random_fields(4, count // 3, 8) - np.uint64(128)
    v[: count // 3] = modulo(near - (c[: count // 3] << np.uint64(6)), REFERENCE.fine)
    played = play_relu(REFERENCE, c, v, real_parties())
    assert summed(REFERENCE, played.shares) == expected_relu(REFERENCE, c, v)


def floor_passes_what_is_slightly_negative(parties: Parties) -> list[int]:
    """z = -1/64 .. -63/64, with D's share as it falls."""
    z = np.arange(-63, 0)
    c = random_fields(5, len(z), 18)
    v = modulo(z.astype(np.uint64) - (c << np.uint64(6)), REFERENCE.fine)
    return summed(REFERENCE, play_relu(REFERENCE, c, v, parties).shares)


def test_comparing_with_floor_is_caught(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(floor_passes_what_is_slightly_negative(parties))

    def rounded_down(widths: Widths, share: Fields) -> Fields:
        return modulo(np.uint64(0) - share, widths.fine) >> np.uint64(widths.guard_bits)

    monkeypatch.setattr(relu, "rounded_up", rounded_down)
    assert all(floor_passes_what_is_slightly_negative(parties))


@pytest.mark.parametrize("count", [1, 8, 101])
@pytest.mark.parametrize(
    "widths", [REFERENCE, Widths(18, 0, 18), Widths(17, 6, 32), Widths(10, 2, 20), Widths(4, 0, 5), Widths(3, 1, 3)]
)
def test_bytes_and_messages_are_known_beforehand(widths: Widths, count: int, parties: Parties) -> None:
    c, v = random_shares(widths, count, 1)
    played, cost = play_relu(widths, c, v, parties), relu_cost(count, widths)
    assert played.prepared.sizes() == expected_sizes(cost.prepared)
    assert played.online.sizes() == expected_sizes(cost.online)
    assert played.prepared.sent_by(1) == cost.prepared_bytes
    assert [played.online.sent_by(who) for who in (0, 1)] == [cost.online_bytes(True), cost.online_bytes(False)]


def test_bits_of_the_reference() -> None:
    """Counted by hand, of a value: 17 choices + 24; 42 tables + 18 + 18 + 1 + 1; 18 + 1 + 14."""
    cost = relu_cost(8, REFERENCE)
    assert cost.prepared_bytes == 41
    assert (cost.online_bytes(True), cost.online_bytes(False)) == (80, 33)
    assert cost.transfers == (8 * 25, 8 * 9)
    assert len(cost.online) == 6


def test_transfers_taken_are_those_of_the_cost() -> None:
    class Counting:
        def __init__(self, source: object) -> None:
            self.source, self.taken = source, 0

        def take(self, count: int) -> object:
            self.taken += count
            return self.source.take(count)  # type: ignore[attr-defined]

    ends = ideal_parties(9)
    counted = [Counting(end) for end in vars(ends).values()]
    Parties(*counted).material(REFERENCE, 7)  # type: ignore[arg-type]
    cost = relu_cost(7, REFERENCE).transfers
    assert [one.taken for one in counted] == [cost.model_owner, cost.data_owner, cost.data_owner, cost.model_owner]


def test_what_is_prepared_serves_once(parties: Parties) -> None:
    """A second use of a mask would be a relation between two inputs."""
    c, v = random_shares(REFERENCE, 5, 1)
    ours, theirs = parties.material(REFERENCE, 5)
    played = play_relu(REFERENCE, c, v, parties, (ours, theirs))
    with pytest.raises(ValueError, match="serves once"):
        next(relu.relu_model_owner(REFERENCE, played.ready[0], c))
    with pytest.raises(ValueError, match="serves once"):
        next(relu.prepare_data_owner(REFERENCE, v, theirs))
    with pytest.raises(ValueError, match="serves once"):
        _hear_first(relu.relu_data_owner(REFERENCE, played.ready[1]), played.online.messages[0][2])


def _hear_first(script: Script[Fields], message: Bytes) -> None:
    assert isinstance(next(script), Want)
    script.send(message)


@pytest.mark.parametrize("widths", [REFERENCE, Widths(18, 0, 32), Widths(9, 3, 10)])
def test_truncation(widths: Widths) -> None:
    """Values of both signs over the whole range, its ends included; 15 bits a value at the reference."""
    limit = 1 << (widths.fine - 2)
    values = np.concatenate([[-limit, -1, 0, 1, limit - 1], np.random.default_rng(1).integers(-limit, limit, 1003)])
    c = random_fields(6, len(values), widths.width)
    v = modulo(values.astype(np.uint64) - (c << np.uint64(widths.guard_bits)), widths.fine)
    ends = ideal_parties(3)
    sending, receiving = ends.data_sending.take(len(c)), ends.model_receiving.take(len(c))
    model_share, data_share, crossed = converse(
        truncate_model_owner(widths, receiving, c), truncate_data_owner(widths, sending, v)
    )
    assert summed(widths, (model_share, data_share)) == values.tolist()
    assert crossed.sizes() == expected_sizes(truncation_cost(len(c), widths).online)


def test_truncation_within_a_ring_is_local() -> None:
    """The shares as they are, in units of 2^-t."""
    widths, (c, v) = Widths(7, 2, 7), random_shares(Widths(7, 2, 7), 50, 2)
    ends = ideal_parties(4)
    for script, expected in (
        (truncate_model_owner(widths, ends.model_receiving.take(0), c), c << np.uint64(2)),
        (truncate_data_owner(widths, ends.data_sending.take(0), v), v),
    ):
        with pytest.raises(StopIteration) as end:
            next(script)
        np.testing.assert_array_equal(end.value.value, expected)
    assert truncation_cost(50, widths).online == ()


def test_a_truncation_costs_15_bits() -> None:
    cost = truncation_cost(8, REFERENCE)
    assert (cost.online_bytes(True), cost.online_bytes(False), cost.transfers) == (1, 14, (0, 8))


def test_relu_after_the_rounding_of_a_product(parties: Parties) -> None:
    """Shares modulo q of a product, rounded as lattice/ does it: M at random to units, D to 2^-6.

    The result lies between the whole numbers next to the product, D's half of 2^-6 apart; its mean is the product's.
    """
    count, modulus_bits, fraction = 20_000, 44, 14
    z = torch.from_numpy(np.random.default_rng(5).integers(-(1 << 29), 1 << 29, count))
    z[: count // 2] >>= 13
    scaled = z << (modulus_bits - 32)
    theirs = torch.from_numpy(random_fields(8, count, 44).view(np.int64))
    local = Stream(bytes(32))
    c = model_owner_share(scaled - theirs, modulus_bits, 18, local).numpy().view(np.uint64)
    v = data_owner_share(theirs, modulus_bits, 18, 6).numpy().view(np.uint64)
    got = np.array(summed(REFERENCE, play_relu(REFERENCE, c, v, parties).shares)) / 64
    exact = z.numpy() / (1 << fraction)
    is_clear = abs(exact) > 1.1
    error = got - np.maximum(exact, 0)
    assert abs(error[is_clear]).max() <= 1 + 1 / 128
    assert not error[exact < -1.1].any()
    assert abs(error[exact > 1.1].mean()) < 5 * 0.41 / (exact > 1.1).sum() ** 0.5


def test_maximum_is_a_relu_of_the_difference(parties: Parties) -> None:
    """max(a, b) = b + relu(a - b), where D masks its share anew: both then hold w + t bits, and t is 0."""
    widths, count = Widths(24, 0, 38), 501
    a, b = (np.random.default_rng(seed).integers(-(1 << 22), 1 << 22, count) for seed in (1, 2))
    c = random_fields(7, count, widths.width)
    v = modulo((a - b).astype(np.uint64) - c, widths.width)
    difference = summed(widths, play_relu(widths, c, v, parties).shares)
    assert [int(y) + one for y, one in zip(b, difference, strict=True)] == np.maximum(a, b).tolist()


def test_impossible_widths_are_refused() -> None:
    for width, guard, ring in ((2, 0, 8), (8, -1, 9), (8, 0, 7), (8, 5, 60)):
        with pytest.raises(ValueError, match="3 <= width <= ring"):
            Widths(width, guard, ring)


def test_a_turn_of_another_length_is_refused() -> None:
    """Lengths are public: what a party would say beyond its turn never leaves."""
    talk = Conversation([Turn(True, (Part("one", 3),))], is_model_owner=True)
    talk.say(np.zeros(2, dtype=np.uint8))
    with pytest.raises(ValueError, match="one: the turn has 3 bytes, got 2"):
        next(talk.flush())


def test_signed_reads_two_complement() -> None:
    assert [signed(value, 3) for value in range(8)] == [0, 1, 2, 3, -4, -3, -2, -1]
