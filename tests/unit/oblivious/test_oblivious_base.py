"""Base transfers and their extension: keys and blocks that fit, exact bytes, and points that give no choice away."""

from __future__ import annotations

import numpy as np
import pytest
from oblivious_harness import assert_correlated, converse, repeatable_bytes

from smule_crypten.errors import ProtocolError
from smule_crypten.oblivious import base, extension
from smule_crypten.oblivious.blocks import Bits, Bytes, marks, random_difference

PRIME = 2**255 - 19


def transferred(choices: Bits, seed: int = 0) -> tuple[list[tuple[bytes, bytes]], list[bytes], Bytes]:
    """Both ends' keys, and the receiver's points (count, 2, 32)."""
    sender = base.send_keys(len(choices), repeatable_bytes(2 * seed + 1))
    receiver = base.receive_keys(choices, repeatable_bytes(2 * seed + 2))
    pairs, keys, crossed = converse(sender, receiver)
    assert crossed.sizes() == [
        (0, "base transfers", base.sender_bytes()),
        (1, "base transfers", base.receiver_bytes(len(choices))),
    ]
    return pairs, keys, crossed.messages[1][2].reshape(-1, 2, 32)


@pytest.mark.parametrize("count", [1, 5, 128])
def test_the_receiver_has_the_key_of_its_choice_and_no_other(count: int) -> None:
    choices = np.random.default_rng(count).integers(0, 2, count).astype(np.uint8)
    pairs, keys, _ = transferred(choices)
    assert keys == [pair[choice] for pair, choice in zip(pairs, choices, strict=True)]
    everything = [key for pair in pairs for key in pair]
    assert len(set(everything)) == 2 * count


def in_the_group(point: bytes) -> bool:
    """Whether an abscissa belongs to the subgroup of prime order: l times the point is the point at infinity.

    Montgomery's ladder in plain Python, from RFC 7748, apart from the library that the protocol uses.
    """
    order = 2**252 + 27742317777372353535851937790883648493
    u = int.from_bytes(point, "little") % PRIME
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in map(int, bin(order)[2:]):
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        total, less = x2 + z2, x2 - z2
        square, square_less = total * total, less * less
        e = square - square_less
        da, cb = (x3 - z3) * total, (x3 + z3) * less
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        x2, z2 = square * square_less % PRIME, e * (square + 121665 * e) % PRIME
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return z2 == 0


def test_both_points_of_a_pair_are_of_the_same_group() -> None:
    """A point off the group, or of the twist, would name the choice."""
    choices = (np.arange(16) % 2).astype(np.uint8)
    _, _, points = transferred(choices)
    assert all(base.is_on_curve(int.from_bytes(point.tobytes(), "little")) for pair in points for point in pair)
    assert all(in_the_group(point.tobytes()) for pair in points for point in pair)


def test_the_check_of_the_group_sees_other_points() -> None:
    """Half of all numbers are of the twist; of the curve, seven of eight points lie outside the group."""
    values = [int.from_bytes(repeatable_bytes(seed)(32), "little") % 2**255 for seed in range(200)]
    on_curve = [value for value in values if base.is_on_curve(value)]
    assert 60 < len(on_curve) < 140
    assert sum(in_the_group(value.to_bytes(32, "little")) for value in on_curve[:40]) < 20


def test_points_say_nothing_about_choices() -> None:
    """The sender's view: bits of the points of choice and of the others have the same distribution, by position."""
    choices = np.random.default_rng(3).integers(0, 2, 128).astype(np.uint8)
    chosen, other = [], []
    for seed in range(4):
        _, _, points = transferred(choices, seed)
        rows = np.arange(128)
        chosen.append(np.unpackbits(points[rows, choices], axis=1))
        other.append(np.unpackbits(points[rows, 1 - choices], axis=1))
    means = [np.concatenate(side).mean(axis=0) for side in (chosen, other)]
    for side in means:  # the highest bit of a number below 2^255 is 0
        free = np.delete(side, 248)
        assert abs(free - 0.5).max() < 5 * 0.5 / 512**0.5
        assert side[248] == 0


def test_a_point_of_small_order_is_refused() -> None:
    script = base.receive_keys(np.zeros(2, dtype=np.uint8), repeatable_bytes(1))
    next(script)
    script.send(None)
    with pytest.raises(ProtocolError, match="small order"):
        script.send(np.zeros(32, dtype=np.uint8))


def test_too_many_base_transfers_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 128"):
        next(base.receive_keys(np.zeros(129, dtype=np.uint8), repeatable_bytes(1)))


@pytest.mark.parametrize("count", [1, 8, 1000, 74_036])
def test_extension(count: int) -> None:
    difference = random_difference(repeatable_bytes(9))
    sender, receiver, crossed = converse(
        extension.extend_sender(difference, count, repeatable_bytes(1)),
        extension.extend_receiver(count, repeatable_bytes(2)),
    )
    assert len(sender) == len(receiver) == count
    assert_correlated(sender, receiver, difference)
    assert crossed.sent_by(0) == base.receiver_bytes(127)
    assert crossed.sent_by(1) == base.sender_bytes() + extension.message_bytes(count)
    assert extension.message_bytes(74_036) == 127 * 9255


def test_extension_hides_the_choices_and_draws_them_evenly() -> None:
    """Each bit of the message is uniform, whatever the choices are; these are half ones."""
    difference, count = random_difference(repeatable_bytes(9)), 20_000
    _, receiver, crossed = converse(
        extension.extend_sender(difference, count, repeatable_bytes(1)),
        extension.extend_receiver(count, repeatable_bytes(2)),
    )
    message = crossed.messages[-1][2].reshape(127, -1)
    choices = marks(receiver)
    masked = np.unpackbits(message, axis=1, bitorder="little")
    agree = (masked == choices).mean(axis=1)
    limit = 5 * 0.5 / count**0.5
    assert abs(agree - 0.5).max() < limit
    assert abs(choices.mean() - 0.5) < limit
