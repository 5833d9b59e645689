"""An instance from set-up to renewal: the relation of every transfer, exact bytes, stock, slices, and no seed twice."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from oblivious_harness import PUBLIC_SEED, TINY, assert_correlated, converse, opened, repeatable_bytes

from smule_crypten.oblivious import base, extension
from smule_crypten.oblivious.blocks import Blocks, marks
from smule_crypten.oblivious.hashing import Hashes
from smule_crypten.oblivious.iteration import Engine, receive_iteration, send_iteration
from smule_crypten.oblivious.parameters import B10, B12, B13, INSECURE_TINY, STANDARD, Plan
from smule_crypten.oblivious.script import Pause, Script, Send, Want
from smule_crypten.oblivious.silent import Silent, SilentReceiver, SilentSender, open_receiver, open_sender

SMALL = Plan(start=B10, main=B10)


def taken(sender: SilentSender, receiver: SilentReceiver, count: int) -> tuple[Blocks, Blocks, Blocks]:
    """Blocks of both and the difference; the relation holds."""
    ours, theirs = sender.take(count), receiver.take(count)
    blocks = ours.spend(), theirs.spend(), ours.difference
    assert_correlated(*blocks)
    return blocks


@pytest.mark.parametrize("plan", [TINY, SMALL], ids=["tiny", "b10"])
def test_every_transfer_of_an_instance(plan: Plan) -> None:
    """All of a main iteration, and of the next one."""
    sender, receiver, _ = opened(plan, stock=1000)
    seen = []
    for _ in range(2):
        assert sender.left == receiver.left
        assert sender.left >= plan.transfers
        seen.append(taken(sender, receiver, plan.transfers)[0])
        converse(sender.renew(), receiver.renew())
    flat = np.concatenate(seen).reshape(-1)[::2]
    assert len(np.unique(flat)) == len(flat)


@pytest.mark.slow
def test_every_transfer_of_a_standard_instance() -> None:
    """15 million, in parts, and across a renewal."""
    sender, receiver, _ = opened(STANDARD, stock=1 << 18)
    converse(sender.renew(), receiver.renew())
    left = STANDARD.transfers + 100_000
    while left:
        taken(sender, receiver, min(left, 1_000_000))
        left -= min(left, 1_000_000)


@pytest.mark.parametrize("plan", [TINY, SMALL, STANDARD], ids=["tiny", "b10", "standard"])
def test_bytes_of_the_set_up(plan: Plan) -> None:
    """Exact, message by message; of the standard plan 1.72 MB with the first main iteration."""
    _, _, crossed = opened(plan)
    assert crossed.sizes() == [
        (0, "base transfers", base.receiver_bytes(127)),
        (1, "base transfers", base.sender_bytes()),
        (1, "extension", extension.message_bytes(plan.start.seeds)),
        (0, f"iteration {plan.start.name}", plan.start.message_bytes),
        (0, f"iteration {plan.main.name}", plan.main.message_bytes),
    ]
    if plan is STANDARD:
        assert crossed.sent_by(0) + crossed.sent_by(1) == 8_160 + 1_175_385 + 136_000 + 395_200


def test_bytes_of_a_renewal() -> None:
    """395 KB at b13, from the sender alone."""
    assert B13.message_bytes == 395_200
    sender, receiver, _ = opened()
    _, _, crossed = converse(sender.renew(), receiver.renew())
    assert crossed.sizes() == [(0, "iteration insecure_tiny", INSECURE_TINY.message_bytes)]


def test_stretches_do_not_matter() -> None:
    """A transfer is known by its number: taken one by one, in stretches, or from a stock made beforehand."""
    found = []
    for stretches in ([1] * 30 + [470, 332], [832], [300, 1, 531]):
        sender, receiver, _ = opened(stock=64)
        while stretches[0] == 832 and sender.step():
            pass
        parts = [taken(sender, receiver, count) for count in stretches]
        found.append(np.concatenate([part[1] for part in parts]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_stock_runs_round_its_memory() -> None:
    """Across ends of the stock, of iterations, and of slices, with one party ahead of the other."""
    sender, receiver, _ = opened(stock=1024)
    random = np.random.default_rng(0)
    for _ in range(40):
        if min(sender.left, receiver.left) < 400:
            converse(sender.renew(), receiver.renew())
        for end in (sender, receiver):
            for _ in range(random.integers(3)):
                end.step()
        taken(sender, receiver, int(random.integers(1, 400)))


def test_a_stock_fills_and_no_more() -> None:
    sender, _, _ = opened(SMALL, stock=200_000)
    assert sender.ready == 0
    while sender.step():
        pass
    assert 200_000 <= sender.ready < 200_000 + 1024
    before = sender.left
    sender.take(5000)
    assert sender.left == before - 5000
    assert sender.step()


def test_more_than_is_left_is_refused_and_costs_nothing() -> None:
    sender, receiver, _ = opened()
    with pytest.raises(ValueError, match="833 transfers are asked for, 832 are left"):
        sender.take(833)
    taken(sender, receiver, 832)
    assert not sender.step()
    with pytest.raises(ValueError, match="0 are left"):
        receiver.take(1)


def test_the_seeds_of_an_iteration_serve_once() -> None:
    """A second renewal cannot begin while one is under way; after it, it uses the seeds of the new iteration."""
    sender, receiver, _ = opened()
    first, other = sender.renew(), sender.renew()
    next(first)
    with pytest.raises(ValueError, match="serve once"):
        next(other)
    del first
    sender, receiver, _ = opened()
    messages = []
    for _ in range(2):
        _, _, crossed = converse(sender.renew(), receiver.renew())
        messages.append(crossed.messages[0][2])
    assert (messages[0] != messages[1]).any()
    taken(sender, receiver, 3 * TINY.transfers)


def test_a_stock_is_made_while_a_renewal_is_under_way() -> None:
    """Both work in the same memory, a slice of one between two slices of the other."""

    def stepping(end: SilentSender | SilentReceiver) -> Script[None]:
        script = end.renew()
        event = next(script)
        while True:
            end.step()
            answer = yield event
            try:
                event = script.send(answer)
            except StopIteration:
                return

    sender, receiver, _ = opened(SMALL, stock=400_000)
    converse(stepping(sender), stepping(receiver))
    assert sender.ready > 400_000 - 1024
    taken(sender, receiver, sender.left)


def test_no_transfer_is_both_seed_and_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many iterations, with two renewals ahead: a block is a seed of one iteration, or is taken, or neither."""
    used: list[Blocks] = []
    iterate = SilentSender._iterate

    def watched(self: SilentSender, seeds: Blocks) -> object:
        used.append(seeds.copy())
        return iterate(self, seeds)

    monkeypatch.setattr(SilentSender, "_iterate", watched)
    sender, receiver, _ = opened()
    for number in range(1, 7):
        converse(sender.renew(), receiver.renew())
        if number >= 2:
            used.append(taken(sender, receiver, TINY.transfers)[0])
            assert sender.left == receiver.left == 2 * TINY.transfers
    flat = np.concatenate(used)
    assert len(flat) == 6 * INSECURE_TINY.seeds + 5 * TINY.transfers
    assert len(np.unique(flat, axis=0)) == len(flat)


def choices_of_two_iterations(reuse: bool) -> list[Blocks]:
    """Choices of the receiver in two iterations: with seeds of their own, or, broken, with the same."""
    engine = Engine(Hashes(PUBLIC_SEED), B10)
    seeds = [np.frombuffer(repeatable_bytes(n)(16 * B10.seeds), dtype=np.uint64).reshape(-1, 2) for n in (1, 2)]
    found = []
    for number in range(2):
        own = seeds[0 if reuse else number]
        difference = np.array([1, number], dtype=np.uint64)
        _, iteration, _ = converse(
            send_iteration(engine, own, difference, repeatable_bytes(3 + number)), receive_iteration(engine, own)
        )
        out = np.empty((1, 1 << B10.depth, 2), dtype=np.uint64)
        iteration.make_rows(slice(5, 6), out)
        found.append(marks(out[0]))
    return found


def test_a_reused_seed_shows_in_the_choices() -> None:
    """The negative control: two iterations out of one seed have the same choices, which is what renewals never do."""
    fresh, broken = choices_of_two_iterations(False), choices_of_two_iterations(True)
    assert abs((fresh[0] == fresh[1]).mean() - 0.5) < 5 * 0.5 / 1024**0.5
    assert (broken[0] == broken[1]).all()


def test_another_public_seed_is_another_instance() -> None:
    """Keys of hashes and code come from it: the same secret randomness then gives other blocks."""
    found = []
    for public in (PUBLIC_SEED, bytes(32)):
        sender, receiver, _ = converse(
            open_sender(TINY, public, 64, repeatable_bytes(1)), open_receiver(TINY, public, 64, repeatable_bytes(2))
        )
        found.append(taken(sender, receiver, 100)[0])
    assert (found[0] != found[1]).any(axis=1).all()


def test_nothing_is_the_same_in_two_instances() -> None:
    """With the system's randomness, as after a restart: other difference, other blocks, other messages."""
    found, differences = [], []
    for _ in range(2):
        sender, receiver, crossed = converse(
            open_sender(TINY, PUBLIC_SEED, 64, os.urandom), open_receiver(TINY, PUBLIC_SEED, 64, os.urandom)
        )
        blocks, _, difference = taken(sender, receiver, 200)
        found.append(np.concatenate([blocks.reshape(-1).view(np.uint8), *(data for _, _, data in crossed.messages)]))
        differences.append(difference)
    assert (differences[0] != differences[1]).all()
    same = (found[0] == found[1]).mean()
    assert same < 0.02, "a byte in 256 agrees by chance; the marks are in one of 16"


@pytest.mark.parametrize("turn", [0, 1], ids=["sender", "receiver"])
def test_slices_are_short(turn: int) -> None:
    """Work between two messages comes in parts: none is longer than a small part of the whole."""
    ends = opened(SMALL, stock=B10.rows)[:2]
    end: Silent = ends[turn]
    seconds = []
    while True:
        begin = time.process_time()
        if not end.step():
            break
        seconds.append(time.process_time() - begin)
    assert len(seconds) >= B10.rows // (1 << 16) - 2
    assert sorted(seconds)[len(seconds) // 2] < 0.1


def test_a_message_of_another_length_is_refused() -> None:
    script = receive_iteration(Engine(Hashes(PUBLIC_SEED), INSECURE_TINY), np.zeros((160, 2), dtype=np.uint64))
    assert next(script) == Want("iteration insecure_tiny", 1536)
    with pytest.raises(ValueError, match="1536 bytes are due, got 3 bytes"):
        script.send(np.zeros(3, dtype=np.uint8))


def test_an_iteration_takes_exactly_its_seeds() -> None:
    with pytest.raises(ValueError, match="takes 160 transfers, got 161"):
        next(
            send_iteration(
                Engine(Hashes(PUBLIC_SEED), INSECURE_TINY),
                np.zeros((161, 2), dtype=np.uint64),
                np.ones(2, dtype=np.uint64),
                repeatable_bytes(1),
            )
        )


def test_a_script_pauses_between_slices() -> None:
    """The sender's part of a b10 iteration, 850 trees at 64 a slice: 14 pauses, then the message."""
    seeds = np.zeros((B10.seeds, 2), dtype=np.uint64)
    script = send_iteration(Engine(Hashes(PUBLIC_SEED), B10), seeds, np.ones(2, dtype=np.uint64), repeatable_bytes(1))
    said = [next(script)]
    while not isinstance(said[-1], Send):
        said.append(script.send(None))
    assert [type(event) for event in said] == [Pause] * 14 + [Send]


@pytest.mark.parametrize("lpn", [B13, B12, B10], ids=lambda lpn: lpn.name)
def test_the_table_of_parameters(lpn: object) -> None:
    """No set claims more than its least attack gives: pooled Gauss draws k rows without noise, then solves."""
    assert isinstance(lpn, type(B13))
    tries = -lpn.inputs * np.log2(1 - 2.0**-lpn.depth)
    assert 128 <= lpn.bits <= tries + 2.8 * lpn.log_size
    assert lpn.rows > lpn.seeds


def test_the_table_in_figures() -> None:
    assert (B13.seeds, B12.seeds, B10.seeds) == (548_988, 280_384, 74_036)
    assert STANDARD.transfers == 15_007_744
    assert INSECURE_TINY.bits == 0
    with pytest.raises(ValueError, match="makes 1024 transfers, 74036 are due"):
        Plan(start=INSECURE_TINY, main=B10)
