"""Mistakes that a comparison on transfers invites, each made once on purpose: the check that would notice it does."""

from __future__ import annotations

import numpy as np
import pytest
from comparison_harness import REFERENCE, expected_relu, ideal_parties, play_relu, summed
from oblivious_harness import random_fields

from smule_crypten.comparison import relu
from smule_crypten.comparison.digit_pads import ReceiverPads
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields

COUNT = 64


def sizes_of(c: Fields, v: Fields) -> list[tuple[int, str, int]]:
    played = play_relu(REFERENCE, c, v, ideal_parties())
    return played.prepared.sizes() + played.online.sizes()


def extremes() -> list[tuple[Fields, Fields]]:
    """Zeros, all bits set, and no value above zero."""
    full = np.uint64((1 << 18) - 1), np.uint64((1 << 24) - 1)
    zeros, ones = np.zeros(COUNT, dtype=np.uint64), np.ones(COUNT, dtype=np.uint64)
    return [(zeros, zeros), (ones * full[0], ones * full[1]), (zeros, ones * np.uint64(1 << 23))]


def test_messages_are_the_same_whatever_the_values() -> None:
    """Number, order, sender and length: nothing is sent only where a bit is 1."""
    sizes = [sizes_of(*values) for values in extremes()]
    assert sizes[0] == sizes[1] == sizes[2]
    assert len(sizes[0]) == 7


def test_choices_that_are_sent_only_where_a_bit_is_set_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A party that leaves bytes out has said another length than its turn's, and does not get to send it."""
    choose = relu.digit_pads.choose

    def without_zeros(widths: Widths, pads: ReceiverPads, numbers: Fields) -> tuple[Bytes, ReceiverPads]:
        message, turned = choose(widths, pads, numbers)
        return message[message % 2 == 1], turned

    monkeypatch.setattr(relu.digit_pads, "choose", without_zeros)
    c, v = extremes()[0]
    with pytest.raises(ValueError, match="the turn has"):
        sizes_of(c, v)


def wrong_of_all_shares(widths: Widths) -> int:
    """How many pairs of shares come out wrong."""
    c, v = (side.reshape(-1) for side in np.mgrid[: 1 << widths.width, : 1 << widths.fine].astype(np.uint64))
    got = summed(widths, play_relu(widths, c, v, ideal_parties()).shares)
    return sum(one != due for one, due in zip(got, expected_relu(widths, c, v), strict=True))


def test_a_comparison_without_its_lowest_bit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bit is dropped before a comparison, so no offset has to make values of either side of zero come out right."""
    widths = Widths(5, 1, 8)
    assert not wrong_of_all_shares(widths)
    rounded_up = relu.rounded_up
    monkeypatch.setattr(relu, "rounded_up", lambda widths, share: rounded_up(widths, share) & ~np.uint64(1))
    assert wrong_of_all_shares(widths)


def test_a_share_moved_before_a_relu_and_back_makes_it_linear() -> None:
    """Outside of the promise: D adds a constant to its share and takes it off afterwards. Every unit is active, and what M
    sees has the form of an honest run: semi-honest parties only."""
    constant, bits = 1 << 22, REFERENCE.ring + REFERENCE.guard_bits
    values = np.random.default_rng(4).integers(-(1 << 20), 1 << 20, COUNT)
    c = random_fields(4, COUNT, REFERENCE.width)
    v = modulo(values.astype(np.uint64) - (c << np.uint64(REFERENCE.guard_bits)), REFERENCE.fine)
    moved = play_relu(REFERENCE, c, modulo(v + np.uint64(constant), REFERENCE.fine), ideal_parties())
    mine, theirs = moved.shares
    assert summed(REFERENCE, (mine, modulo(theirs - np.uint64(constant), bits))) == values.tolist()
    assert moved.online.sizes() == play_relu(REFERENCE, c, v, ideal_parties()).online.sizes()
