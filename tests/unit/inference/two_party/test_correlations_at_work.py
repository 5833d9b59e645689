"""Correlations of two parties in one process: nobody waits while working, little is held, and failures end them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import cast

import pytest
import torch
from oblivious_harness import TINY, opened
from tensor_channel import TensorChannel

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.widths import Widths
from smule_crypten.errors import PeerDisconnectedError
from smule_crypten.mpc.session import Session
from smule_crypten.two_party.correlations import Correlations, Job

WIDTHS = Widths(12, 2, 20)
JOBS = [Job(0, WIDTHS, 100), Job(1, WIDTHS, 30), Job(1, WIDTHS, 0), Job(0, WIDTHS, 8)]
LONG = 1e9


class Posted(TensorChannel):
    """Two parties in memory: nobody may wait. has_failed: whether the link is found broken."""

    def __init__(self, rank: int, sent: deque[torch.Tensor], come: deque[torch.Tensor]) -> None:
        super().__init__(rank)
        self._sent, self._come = sent, come
        self.has_failed = False

    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        raise AssertionError("work must not wait")

    def post(self, tensor: torch.Tensor) -> None:
        if self.has_failed:
            raise PeerDisconnectedError("party b closed the connection")
        self._sent.append(tensor.clone())

    def take_arrived(self, num_bytes: int) -> torch.Tensor | None:
        if not self._come:
            return None
        assert self._come[0].nbytes == num_bytes
        return self._come.popleft()


class FakeSession:
    def __init__(self, channel: Posted) -> None:
        self.channel, self.rank, self.meter = channel, channel.rank, channel.meter


def parties() -> tuple[Correlations, Correlations]:
    """Fresh from their set-up."""
    to_a, to_b = deque[torch.Tensor](), deque[torch.Tensor]()
    sender_a, receiver_b, _ = opened(TINY, seed=1)
    sender_b, receiver_a, _ = opened(TINY, seed=2)
    sessions = [
        cast(Session, FakeSession(Posted(rank, *ways))) for rank, ways in enumerate([(to_b, to_a), (to_a, to_b)])
    ]
    return (
        Correlations(sessions[0], sender_a, receiver_a, TINY),
        Correlations(sessions[1], sender_b, receiver_b, TINY),
    )


def channel_of(correlations: Correlations) -> Posted:
    return cast(Posted, correlations._session.channel)


def finish(both: tuple[Correlations, Correlations]) -> None:
    """Turn by turn, so that nobody has to wait."""
    for _ in range(200):
        for correlations in both:
            correlations.work(LONG)
    for correlations in both:
        correlations.settle()


def take_all(correlations: Correlations, rank: int) -> list[int]:
    """How many values each batch has, in the order of the jobs."""
    sizes = []
    for job in JOBS:
        if job.count:
            own = job.model_owner == rank
            material = correlations.model_owner_material() if own else correlations.data_owner_material()
            sizes.append(material.count)
    return sizes


@pytest.mark.parametrize("seed", range(5))
def test_all_is_made_without_waiting_whoever_works_when(seed: int) -> None:
    """Each works until there is nothing left but to wait; the other one goes on from there; both come to the end."""
    both = parties()
    for correlations in both:
        correlations.need(JOBS)
    order = random.Random(seed)
    for _ in range(500):
        both[order.randrange(2)].work(order.choice([0.0, 0.0, LONG]))
    finish(both)
    for rank, correlations in enumerate(both):
        assert take_all(correlations, rank) == [100, 30, 8]
        assert not channel_of(correlations)._come


def test_no_more_iterations_are_held_than_what_comes_next_takes() -> None:
    """A large exchange makes them one after the other: at most one beyond what the next step takes."""
    both = parties()
    for correlations in both:
        correlations.need([Job(0, WIDTHS, 64)] * 20)
    step = max(relu_cost(64, WIDTHS).transfers)
    most = 0
    for _ in range(5000):
        for correlations in both:
            correlations.work(0)
            most = max(most, correlations._sender.end.left, correlations._receiver.end.left)
    assert not any(correlations._jobs for correlations in both)
    assert most <= max(step, TINY.transfers) + TINY.transfers
    finish(both)


def test_a_failure_ends_them() -> None:
    """What was left half done is not gone on with: the parties may be at different places."""
    correlations, _ = parties()
    correlations.need(JOBS)
    channel_of(correlations).has_failed = True
    with pytest.raises(PeerDisconnectedError):
        correlations.work(LONG)
    channel_of(correlations).has_failed = False
    for call in (lambda: correlations.work(1), correlations.settle, lambda: correlations.need([])):
        with pytest.raises(ValueError, match="failed half way; open new ones"):
            call()
    with pytest.raises(ValueError, match="failed half way; open new ones"):
        correlations.model_owner_material()


def test_nothing_is_given_out_early_or_twice() -> None:
    both = parties()
    for correlations in both:
        correlations.need(JOBS)
        with pytest.raises(ValueError, match="need and settle come first"):
            correlations.model_owner_material()
        with pytest.raises(ValueError, match="settle first"):
            correlations.need(JOBS)
    finish(both)
    take_all(both[0], 0)
    with pytest.raises(ValueError, match="given out once"):
        both[0].model_owner_material()


def test_an_exchange_that_did_not_take_place_leaves_nothing() -> None:
    """Its material is not mistaken for that of the next one."""
    both = parties()
    for jobs in ([Job(0, WIDTHS, 5)], JOBS):
        for correlations in both:
            correlations.need(jobs)
        finish(both)
    assert [take_all(correlations, rank) for rank, correlations in enumerate(both)] == [[100, 30, 8]] * 2
