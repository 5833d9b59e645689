"""The two instances of silent transfer of a session, from set-up to the material of each batch of ReLUs.

Each party is the sender of one instance. Both roles of a party use both: as a model owner it sends in its own instance
and receives in the peer's, and as a data owner likewise.

    correlations = Correlations.open(session)    # set_up.py
    correlations.need(jobs)                      # once an exchange: what it takes, in the order of both parties
    correlations.work(seconds)                   # between the steps of other work; never waits
    correlations.settle()                        # waits; then all is made, and all that the peer sent ahead is read
    correlations.model_owner_material()          # the next batch of this party's own network

Material is made strictly in the order of the jobs, since a transfer is known by its number. Between `need` and `settle`
the link carries iterations alone (renewals.py), so both parties settle before they say or read anything else.

Neither waits for ever: of two parties that make the same material in the same order, the one that is behind needs no
iteration of which the other one, who is further, has not sent the message, or made what it takes itself.

Nothing is stored. What a failure left half done is not used again: the object refuses, and a run that goes on opens
new instances.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.material import (
    NOTHING,
    DataOwnerMaking,
    DataOwnerMaterial,
    ModelOwnerMaking,
    ModelOwnerMaterial,
)
from smule_crypten.comparison.widths import Widths
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.parameters import STANDARD, Plan
from smule_crypten.oblivious.silent import SilentReceiver, SilentSender
from smule_crypten.two_party.renewals import Renewed
from smule_crypten.two_party.set_up import open_instances

Material = TypeVar("Material", ModelOwnerMaterial, DataOwnerMaterial)


@dataclass(frozen=True)
class Job:
    """A batch of `count` ReLUs of the network of the party of this rank."""

    model_owner: int
    widths: Widths
    count: int


def transfers_of(jobs: Iterable[Job]) -> tuple[int, int]:
    """What jobs take of the instance where party a is the sender, and of that of party b."""
    taken = [0, 0]
    for job in jobs:
        transfers = relu_cost(job.count, job.widths).transfers
        taken[job.model_owner] += transfers.model_owner
        taken[1 - job.model_owner] += transfers.data_owner
    return taken[0], taken[1]


class Correlations:
    """Not safe with threads.

    Args:
        sender: this party's end of its own instance, new.
        receiver: its end of the peer's.
        plan: of both.
    """

    def __init__(
        self,
        session: Session,
        sender: SilentSender,
        receiver: SilentReceiver,
        plan: Plan,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._sender = Renewed(sender, plan, session)
        self._receiver = Renewed(receiver, plan, session)
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._making: ModelOwnerMaking | DataOwnerMaking | None = None
        self._of_model_owner: deque[ModelOwnerMaterial] = deque()
        self._of_data_owner: deque[DataOwnerMaterial] = deque()
        self._is_over = False

    @classmethod
    def open(cls, session: Session, *, plan: Plan = STANDARD) -> Correlations:
        """Set both instances up with the peer, which does the same now.

        Args:
            plan: the same at both; another one than the standard serves tests alone.

        Raises:
            PeerError, ProtocolError: see Channel.transfer; or the peer sent what is no point of the group.
        """
        with session.meter.phase("set-up"):
            return cls(session, *open_instances(session, plan), plan)

    def need(self, jobs: Sequence[Job]) -> None:
        """All that the next exchange takes, in the order in which both parties take it.

        What was made for an exchange that did not take place is dropped.

        Raises:
            ValueError: what was needed before is not made yet; `settle` comes first.
        """
        self._refuse_over()
        if self._jobs:
            raise ValueError("what an exchange before needs is not made yet; settle first")
        self._of_model_owner.clear()
        self._of_data_owner.clear()
        self._jobs.extend(job for job in jobs if job.count)
        needed = transfers_of(self._jobs)
        self._sender.need(needed[self._session.rank])
        self._receiver.need(needed[1 - self._session.rank])

    def work(self, seconds: float) -> None:
        """Do what can be done for about so long: one step of some ten milliseconds, or more. Never waits for the peer.

        Raises:
            PeerError, ProtocolError: see Channel.
        """
        until = self._clock() + seconds
        with self._working():
            while self._step() and self._clock() < until:
                pass

    def settle(self) -> None:
        """Make all that is needed. May wait for the peer, until it has sent what this takes; free when all is made.

        Raises:
            PeerError, ProtocolError: see Channel.
        """
        with self._working():
            while self._jobs:
                if not self._step():
                    self._receiver.advance(self._next_counts[1], may_wait=True)

    def model_owner_material(self) -> ModelOwnerMaterial:
        """Of the next batch of this party's network.

        Raises:
            ValueError: none is ready.
        """
        return self._next(self._of_model_owner)

    def data_owner_material(self) -> DataOwnerMaterial:
        """Of the next batch of the peer's network; errors as for the other one."""
        return self._next(self._of_data_owner)

    def _step(self) -> bool:
        """Work for some ten milliseconds; False where all is made, or nothing can be done without the peer."""
        if not self._jobs:
            return False
        sending, receiving = self._next_counts
        # Messages first: the peer may wait for them.
        if self._sender.advance(sending) or self._receiver.advance(receiving):
            return True
        if self._sender.end.left < sending or self._receiver.end.left < receiving:
            return False
        making = self._present_making()
        making.step()
        if making.due == NOTHING:
            self._keep(making)
        return True

    @property
    def _next_counts(self) -> tuple[int, int]:
        """Transfers of this party's instance and of the peer's that the next step of the material takes."""
        due = self._present_making().due
        is_model_owner = self._jobs[0].model_owner == self._session.rank
        return (due.model_owner, due.data_owner) if is_model_owner else (due.data_owner, due.model_owner)

    def _present_making(self) -> ModelOwnerMaking | DataOwnerMaking:
        if self._making is None:
            job = self._jobs[0]
            kind = ModelOwnerMaking if job.model_owner == self._session.rank else DataOwnerMaking
            self._making = kind(job.widths, job.count, self._sender.end, self._receiver.end)
        return self._making

    def _keep(self, making: ModelOwnerMaking | DataOwnerMaking) -> None:
        if isinstance(making, ModelOwnerMaking):
            self._of_model_owner.append(making.finish())
        else:
            self._of_data_owner.append(making.finish())
        self._making = None
        self._jobs.popleft()

    def _next(self, ready: deque[Material]) -> Material:
        self._refuse_over()
        if self._jobs or not ready:
            raise ValueError("no material is ready; need and settle come first, and each batch is given out once")
        return ready.popleft()

    def _refuse_over(self) -> None:
        if self._is_over:
            raise ValueError("the making of correlations failed half way; open new ones")

    @contextmanager
    def _working(self) -> Iterator[None]:
        """What fails here leaves the two parties at different places."""
        self._refuse_over()
        self._is_over = True
        with self._session.meter.phase("correlations"):
            yield
        self._is_over = False
