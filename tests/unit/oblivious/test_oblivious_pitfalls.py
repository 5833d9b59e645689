"""Mistakes that silent transfer invites, each made once on purpose: the check that would notice it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from oblivious_harness import INSTANCE, PUBLIC_SEED, TINY, converse, repeatable_bytes
from test_oblivious_base import in_the_group

from smule_crypten.oblivious import base
from smule_crypten.oblivious.blocks import Bits, Blocks, RandomBytes, random_blocks
from smule_crypten.oblivious.code import LocalCode, Places
from smule_crypten.oblivious.script import Send
from smule_crypten.oblivious.silent import open_receiver, open_sender

CHOICES = (np.arange(16) % 2).astype(np.uint8)


def rows_depend_on_stretches() -> bool:
    """Whether a code is another one for who works in other stretches."""
    code, inputs = LocalCode(bytes(16), 10), random_blocks(repeatable_bytes(1), 1 << 10)
    whole, parts = np.zeros((20_000, 2), dtype=np.uint64), np.zeros((20_000, 2), dtype=np.uint64)
    code.add_to(whole, inputs, 0)
    for start, stop in ((0, 7000), (7000, 20_000)):
        code.add_to(parts[start:stop], inputs, start)
    return bool((whole != parts).any())


def test_a_code_addressed_by_chunk_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not rows_depend_on_stretches()
    columns = LocalCode._columns

    def from_the_beginning(self: LocalCode, first_row: int, count: int) -> Iterator[Places]:
        return columns(self, 0, count)

    monkeypatch.setattr(LocalCode, "_columns", from_the_beginning)
    assert rows_depend_on_stretches()


def receiver_points(choices: Bits) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    event = next(base.receive_keys(INSTANCE, choices, repeatable_bytes(3)))
    assert isinstance(event, Send)
    return event.data.reshape(len(choices), 2, 32)


def points_name_a_choice() -> bool:
    """Whether a point lies outside of the group that the points of the choices are of."""
    points = receiver_points(CHOICES)
    return not all(in_the_group(point.tobytes()) for pair in points for point in pair)


def test_a_point_of_the_curve_as_it_is_drawn_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven of eight points of the curve are not of the group; the factor 8 of a scalar brings them there."""
    assert not points_name_a_choice()
    monkeypatch.setattr(base, "_shared", lambda secret, point: point)
    assert points_name_a_choice()


def sizes_drawn(run: Callable[[RandomBytes], object], seed: int) -> list[int]:
    """How many random bytes are taken, call by call."""
    source, sizes = repeatable_bytes(seed), []

    def counted(count: int) -> bytes:
        sizes.append(count)
        return source(count)

    run(counted)
    return sizes


def draws_depend_on_what_is_drawn() -> bool:
    """In base transfers, over ten draws with other choices."""
    found = []
    for seed in range(10):
        choices = np.random.default_rng(seed).integers(0, 2, 16).astype(np.uint8)
        found.append(sizes_drawn(lambda take, choices=choices: next(base.receive_keys(INSTANCE, choices, take)), seed))
    return any(sizes != found[0] for sizes in found)


def test_points_drawn_until_they_fit_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling by rejection: how long it takes would depend on what is drawn."""

    def until_it_fits(count: int, random_bytes: RandomBytes) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < count:
            value = int.from_bytes(random_bytes(32), "little") & ((1 << 255) - 1)
            found += [value.to_bytes(32, "little")] if base.is_on_curve(value) else []
        return found

    assert not draws_depend_on_what_is_drawn()
    monkeypatch.setattr(base, "_random_points", until_it_fits)
    assert draws_depend_on_what_is_drawn()


def test_a_set_up_always_draws_as_much() -> None:
    """Both ends, whatever comes: difference, scalars, choices, trees."""

    def opened(take: RandomBytes, other: RandomBytes, is_sender: bool) -> None:
        ours, theirs = (take, other) if is_sender else (other, take)
        converse(
            open_sender(TINY, PUBLIC_SEED, 64, ours, sender_rank=0),
            open_receiver(TINY, PUBLIC_SEED, 64, theirs, sender_rank=0),
        )

    for is_sender in (True, False):
        first, second = (
            sizes_drawn(lambda take, turn=is_sender: opened(take, os.urandom, turn), seed) for seed in (1, 2)
        )
        assert first == second
        assert len(first) > 127 * is_sender


def restarted(random_bytes: Callable[[int], RandomBytes]) -> list[Blocks]:
    """The sender's blocks of a run, and of the one that follows after a crash under the same public seed."""
    found = []
    for _ in range(2):
        sender, receiver, _ = converse(
            open_sender(TINY, PUBLIC_SEED, 64, random_bytes(1), sender_rank=0),
            open_receiver(TINY, PUBLIC_SEED, 64, random_bytes(2), sender_rank=0),
        )
        receiver.take(100)
        found.append(sender.take(100).spend())
    return found


def test_an_instance_from_what_was_stored_is_caught() -> None:
    """With the system's randomness no block comes again; with randomness that was kept every block does."""
    fresh, kept = restarted(lambda _: os.urandom), restarted(repeatable_bytes)
    assert (fresh[0] != fresh[1]).any(axis=1).all()
    assert (kept[0] == kept[1]).all()
