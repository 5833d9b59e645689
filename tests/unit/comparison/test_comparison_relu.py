"""A whole ReLU: results against plain integers, exact bytes and messages, nothing serves twice."""

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
from oblivious_harness import random_fields

from smule_crypten.comparison import relu
from smule_crypten.comparison.conversation import Conversation, Part, Turn
from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.lattice.truncation import data_owner_share, model_owner_share
from smule_crypten.mpc.streams import Stream
from smule_crypten.oblivious.cots import Fields


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


def test_what_is_prepared_serves_once(parties: Parties) -> None:
    """A second use of a mask would be a relation between two inputs, a second turning one between two choices."""
    c, v = random_shares(REFERENCE, 5, 1)
    ours, theirs = parties.material(REFERENCE, 5)
    played = play_relu(REFERENCE, c, v, parties, (ours, theirs))
    for again in (
        relu.prepare_model_owner(REFERENCE, 5, ours),
        relu.prepare_data_owner(REFERENCE, v, theirs),
        relu.relu_model_owner(REFERENCE, played.ready[0], c),
        relu.relu_data_owner(REFERENCE, played.ready[1]),
    ):
        with pytest.raises(ValueError, match="serves once"):
            next(again)


def test_material_for_other_counts_is_refused(parties: Parties) -> None:
    ours, theirs = parties.material(REFERENCE, 5)
    _, v = random_shares(REFERENCE, 6, 1)
    with pytest.raises(ValueError, match="6 values are to be compared, and material was made for 5"):
        next(relu.prepare_model_owner(REFERENCE, 6, ours))
    with pytest.raises(ValueError, match=r"\(6,\) is not the 5 values"):
        next(relu.prepare_data_owner(REFERENCE, v, theirs))
    play_relu(REFERENCE, *random_shares(REFERENCE, 5, 1), parties, (ours, theirs))


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
