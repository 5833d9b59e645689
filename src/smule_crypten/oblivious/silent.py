"""An instance of silent transfer: one party's end, from the base transfers to a stock of correlated transfers.

Once per run, and again after a crash or a stop: nothing is ever stored. With the standard plan (b10, then b13):
1. Base transfers and extension (base.py, extension.py): 8 KB crossing, then 1.18 MB from the receiver.
2. One iteration of the start set: 136 KB from the sender. Its first rows feed the first main iteration.
3. One main iteration: 395 KB from the sender, 15.0 million transfers.
While these last, `renew` makes the next main iteration out of rows that every main iteration reserves: 395 KB from the
sender again, nothing back.

The set-up is three rounds; 1 takes a tenth of a second of work at one go. All other work is done some milliseconds at
a time: by `step`, into a stock of bounded memory, or between the pauses of a script. Both parties take the same numbers
of transfers in the same order; a transfer is known by its number, which counts from 0 in an instance, and serves once.

An instance is not safe with threads: all that is its own (step, take, the scripts) is for one thread at a time.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from smule_crypten.oblivious.blocks import Blocks, RandomBytes, random_difference
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots
from smule_crypten.oblivious.extension import extend_receiver, extend_sender
from smule_crypten.oblivious.hashing import Hashes, Instance
from smule_crypten.oblivious.iteration import Engine, Iteration, receive_iteration, send_iteration
from smule_crypten.oblivious.parameters import Plan
from smule_crypten.oblivious.script import Script


class Silent(ABC):
    """One end of an instance.

    Args:
        engine: of the main set.
        first: the first main iteration.
        stock: the transfers that `step` makes beforehand, at most, 16 bytes each; rounded up to whole trees, and to a
            slice of 1 MB.
    """

    def __init__(self, plan: Plan, engine: Engine, hashes: Hashes, first: Iteration, stock: int) -> None:
        self._plan = plan
        self._engine = engine
        self._hashes = hashes
        self._iterations = [first]
        self._is_renewing = False
        self._is_over = False
        self._tree_rows = 1 << plan.main.depth
        self._next_tree = plan.reserved_trees
        stock_trees = max(engine.slice_trees, -(-operator.index(stock) // self._tree_rows))
        self._stock = np.empty((stock_trees, self._tree_rows, 2), dtype=np.uint64)
        self._trees_made = 0
        self._taken = 0

    @property
    def ready(self) -> int:
        """Transfers in stock: to take them costs a copy."""
        return self._trees_made * self._tree_rows - self._taken

    @property
    def left(self) -> int:
        """Transfers that can be taken before a renewal is due."""
        trees = len(self._iterations) * (self._plan.main.trees - self._plan.reserved_trees)
        return self.ready + (trees - (self._next_tree - self._plan.reserved_trees)) * self._tree_rows

    def step(self) -> bool:
        """Work for some milliseconds towards a full stock; False when it is full, or a renewal is due."""
        self._refuse_over()
        kept_trees = self._trees_made - self._taken // self._tree_rows
        place = self._trees_made % len(self._stock)
        room = min(len(self._stock) - kept_trees, len(self._stock) - place)
        count = min(room, self._engine.slice_trees, self._plan.main.trees - self._next_tree)
        if count <= 0:
            return False
        self._iterations[0].make_rows(
            slice(self._next_tree, self._next_tree + count), self._stock[place : place + count]
        )
        self._trees_made += count
        self._next_tree += count
        if self._next_tree == self._plan.main.trees and len(self._iterations) > 1:
            self._begin_next()
        return True

    def renew(self) -> Script[None]:
        """Make another main iteration, any time before the present ones are used up. One at a time."""
        self._refuse_over()
        if self._is_renewing:
            raise ValueError("a renewal is under way; the seeds of an iteration serve once")
        self._is_renewing = True
        with self._over_if_it_fails():
            last = self._iterations[-1]
            seeds = yield from last.first_rows(self._plan.main.seeds)
            self._iterations.append((yield from self._iterate(last.number + 1, seeds)))
            if self._next_tree == self._plan.main.trees:
                self._begin_next()
        self._is_renewing = False

    def _refuse_over(self) -> None:
        if self._is_over:
            raise ValueError("a renewal or a taking failed or was given up half way; start a new instance")

    @contextmanager
    def _over_if_it_fails(self) -> Iterator[None]:
        """For what leaves, half done, the two parties at different places, or seeds that have served."""
        try:
            yield
        except BaseException:
            self._is_over = True
            raise

    def _begin_next(self) -> None:
        self._iterations.pop(0)
        self._next_tree = self._plan.reserved_trees

    @abstractmethod
    def _iterate(self, number: int, seeds: Blocks) -> Script[Iteration]:
        """This end's script of an iteration."""

    def _take(self, count: int) -> tuple[int, Blocks]:
        """The number of the first transfer, and the blocks (count, 2). Makes what the stock has not."""
        self._refuse_over()
        count = operator.index(count)  # a NumPy integer would be cut to its own few bits further down
        if not 0 <= count <= self.left:
            raise ValueError(f"{count} transfers are asked for, {self.left} are left before a renewal")
        first, taken = self._taken, np.empty((count, 2), dtype=np.uint64)
        stock = self._stock.reshape(-1, 2)
        with self._over_if_it_fails():
            while count:
                while self.ready < count and self.step():
                    pass
                place = self._taken % len(stock)
                part = min(count, self.ready, len(stock) - place)
                start = len(taken) - count
                taken[start : start + part] = stock[place : place + part]
                self._taken += part
                count -= part
        return first, taken


class SilentSender(Silent):
    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        hashes: Hashes,
        first: Iteration,
        stock: int,
        difference: Blocks,
        random_bytes: RandomBytes,
    ) -> None:
        super().__init__(plan, engine, hashes, first, stock)
        self._difference = difference
        self._random_bytes = random_bytes

    def take(self, count: int) -> SenderCots:
        return SenderCots(self._hashes.pads, *self._take(count), self._difference)

    def _iterate(self, number: int, seeds: Blocks) -> Script[Iteration]:
        return (yield from send_iteration(self._engine, number, seeds, self._difference, self._random_bytes))


class SilentReceiver(Silent):
    def take(self, count: int) -> ReceiverCots:
        return ReceiverCots(self._hashes.pads, *self._take(count))

    def _iterate(self, number: int, seeds: Blocks) -> Script[Iteration]:
        return (yield from receive_iteration(self._engine, number, seeds))


def open_sender(
    plan: Plan, seed: bytes, stock: int, random_bytes: RandomBytes, *, sender_rank: int
) -> Script[SilentSender]:
    """The sender's set-up.

    Args:
        seed: public, 32 bytes that both parties contributed to; of this instance alone.
        stock: see Silent.
        sender_rank: of the party that is the sender, 0 or 1; the same at both.

    Raises:
        ProtocolError: see base.py.
    """
    instance, difference = Instance(seed, sender_rank), random_difference(random_bytes)
    hashes = Hashes(instance)
    seeds = yield from extend_sender(instance, difference, plan.start.seeds, random_bytes)
    start = yield from send_iteration(Engine(hashes, plan.start), 0, seeds, difference, random_bytes)
    seeds = yield from start.first_rows(plan.main.seeds)
    engine = Engine(hashes, plan.main)
    first = yield from send_iteration(engine, 1, seeds, difference, random_bytes)
    return SilentSender(plan, engine, hashes, first, stock, difference, random_bytes)


def open_receiver(
    plan: Plan, seed: bytes, stock: int, random_bytes: RandomBytes, *, sender_rank: int
) -> Script[SilentReceiver]:
    """The receiver's set-up; arguments and errors as for `open_sender`."""
    instance = Instance(seed, sender_rank)
    hashes = Hashes(instance)
    seeds = yield from extend_receiver(instance, plan.start.seeds, random_bytes)
    start = yield from receive_iteration(Engine(hashes, plan.start), 0, seeds)
    seeds = yield from start.first_rows(plan.main.seeds)
    engine = Engine(hashes, plan.main)
    first = yield from receive_iteration(engine, 1, seeds)
    return SilentReceiver(plan, engine, hashes, first, stock)
