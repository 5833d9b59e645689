"""One iteration of silent transfer: few correlated transfers and one message become millions (Ferret, eprint 2020/924).

Correlated transfer: r at the sender, r xor x D at the receiver, which knows x; D is the sender's difference.
In: k + t h of them, x uniform. With the set's t trees of depth h and k inputs of the code:

1. The receiver's hole in tree i is spelled by the choices of the h transfers of that tree.
2. The sender draws the trees (tree.py) and sends, for each level of each tree, 128 bits: the sum of the children 1,
   xor r. With r xor x D the receiver has that sum where x = 0, and the sum of the children 0 where x = 1: the side
   where its path does not go. t h blocks, sender to receiver, one message; nothing comes back.
3. The leaves are correlated transfers whose choices e have one 1 in each tree. Row j is leaf j, xor row j of the code
   applied to the k transfers: choices A x + e, uniform by the LPN assumption (parameters.py).

Seeds lie in this order: the k inputs, then those of all trees for level 1, for level 2 and so on, and the message is in
the order of the latter. The lowest bit of a hole is the turn of level 1. The sender takes 16 random bytes a tree, the
child 1 of its root. Marks of leaves are set to 0, the one at the receiver's hole to 1, before the code is added.

Nothing is opened. The message is hidden by r and, where the receiver knows that, is what it may know. Both parties keep
trees and inputs, and make rows when they are asked for: any stretch, in any order, by number alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from smule_crypten.oblivious.blocks import Blocks, RandomBytes, as_blocks, as_bytes, clear_marks, marks, random_blocks
from smule_crypten.oblivious.code import LocalCode
from smule_crypten.oblivious.hashing import Hashes, TreeHash
from smule_crypten.oblivious.parameters import LpnSet
from smule_crypten.oblivious.script import Pause, Script, Send, Want, received
from smule_crypten.oblivious.tree import Holes, Trees

_SLICE_ROWS = 1 << 16
"""Rows that are made at once: 1 MB, some milliseconds."""


class Engine:
    """What the iterations of one set compute with, in turn: the memory is one, the keys are each iteration's own.

    slice_trees: how many trees are grown at once.
    """

    def __init__(self, hashes: Hashes, lpn: LpnSet) -> None:
        self.lpn = lpn
        self.slice_trees = max(1, min(lpn.trees, _SLICE_ROWS >> lpn.depth))
        self._hashes = hashes
        self._number = 0
        self._tree_hash = TreeHash(hashes.tree_key(0))
        self._trees = Trees(self._tree_hash, lpn.depth, self.slice_trees)
        self._code = LocalCode(hashes.code_key(0), lpn.log_size)

    def trees(self, number: int) -> Trees:
        """As iteration `number` grows them; good until another one computes."""
        self._turn_to(number)
        return self._trees

    def code(self, number: int) -> LocalCode:
        """Of iteration `number`; good until another one computes."""
        self._turn_to(number)
        return self._code

    def _turn_to(self, number: int) -> None:
        if number != self._number:
            self._tree_hash.rekey(self._hashes.tree_key(number))
            self._code.rekey(self._hashes.code_key(number))
            self._number = number

    def slices(self, num_trees: int) -> list[slice]:
        """The first trees of an iteration in parts that are grown at once."""
        starts = range(0, num_trees, self.slice_trees)
        return [slice(start, min(start + self.slice_trees, num_trees)) for start in starts]


class Iteration(ABC):
    """One party's end of an iteration whose message has crossed.

    number: of the iteration in its instance; inputs: what the code encodes (2^log_size, 2).
    """

    def __init__(self, engine: Engine, number: int, inputs: Blocks) -> None:
        self.engine = engine
        self.number = number
        self._inputs = inputs

    def make_rows(self, trees: slice, out: Blocks) -> None:
        """The rows of at most slice_trees trees, into `out` (trees, 2^depth, 2), contiguous."""
        if not out.flags.c_contiguous:
            raise ValueError("rows are made in place, in contiguous memory")
        self._leaves(trees, out)
        rows = out.reshape(-1, 2)
        self.engine.code(self.number).add_to(rows, self._inputs, trees.start << self.engine.lpn.depth)

    def first_rows(self, count: int) -> Script[Blocks]:
        """The first rows (count, 2), slice by slice."""
        size = 1 << self.engine.lpn.depth
        rows = np.empty((-(-count // size), size, 2), dtype=np.uint64)
        for trees in self.engine.slices(len(rows)):
            self.make_rows(trees, rows[trees])
            yield Pause()
        return rows.reshape(-1, 2)[:count]

    @abstractmethod
    def _leaves(self, trees: slice, out: Blocks) -> None:
        """Leaves with their marks: 0, but 1 at the receiver's holes."""


class SenderIteration(Iteration):
    def __init__(self, engine: Engine, number: int, inputs: Blocks, ones: Blocks, difference: Blocks) -> None:
        super().__init__(engine, number, inputs)
        self._ones = ones
        self._difference = difference

    def _leaves(self, trees: slice, out: Blocks) -> None:
        self.engine.trees(self.number).sender_leaves(self._ones[trees], self._difference, out)
        clear_marks(out)


class ReceiverIteration(Iteration):
    def __init__(self, engine: Engine, number: int, inputs: Blocks, sums: Blocks, holes: Holes) -> None:
        super().__init__(engine, number, inputs)
        self._sums = sums
        self._holes = holes

    def _leaves(self, trees: slice, out: Blocks) -> None:
        holes = self._holes[trees]
        self.engine.trees(self.number).receiver_leaves(self._sums[:, trees], holes, out)
        clear_marks(out)
        out[np.arange(len(holes)), holes, 0] |= np.uint64(1)


def send_iteration(
    engine: Engine, number: int, seeds: Blocks, difference: Blocks, random_bytes: RandomBytes
) -> Script[SenderIteration]:
    """The sender's step 2. number: of no other iteration of the instance.

    seeds: (lpn.seeds, 2), used for nothing else, before or after.
    """
    lpn = engine.lpn
    ones = random_blocks(random_bytes, lpn.trees)
    message = _tree_seeds(seeds, lpn).copy()
    for trees in engine.slices(lpn.trees):
        message[:, trees] ^= engine.trees(number).sums_of_ones(ones[trees], difference)
        yield Pause()
    yield Send(f"iteration {lpn.name}", as_bytes(message))
    return SenderIteration(engine, number, seeds[: lpn.inputs].copy(), ones, difference)


def receive_iteration(engine: Engine, number: int, seeds: Blocks) -> Script[ReceiverIteration]:
    """The receiver's steps 1 and 2; arguments as for `send_iteration`."""
    lpn = engine.lpn
    want = Want(f"iteration {lpn.name}", lpn.message_bytes)
    message = received((yield want), want)
    own = _tree_seeds(seeds, lpn)
    sums = as_blocks(message).reshape(own.shape) ^ own
    turns = marks(own).astype(np.int64)
    holes = (turns << np.arange(lpn.depth)[:, None]).sum(axis=0)
    return ReceiverIteration(engine, number, seeds[: lpn.inputs].copy(), sums, holes)


def _tree_seeds(seeds: Blocks, lpn: LpnSet) -> Blocks:
    """The seeds behind the inputs of the code, (depth, trees, 2)."""
    if seeds.shape != (lpn.seeds, 2):
        raise ValueError(f"an iteration of {lpn.name} takes {lpn.seeds} transfers, got {len(seeds)}")
    return seeds[lpn.inputs :].reshape(lpn.depth, lpn.trees, 2)
