"""Correlated GGM trees, the half-tree of eprint 2022/1431 (section 4): many at once, one hash for two children.

The two nodes under the root sum (xor) to the difference D. A node x has the children x xor H(x) and H(x), so the nodes
of every level sum to D. The sender has whole trees. For each level the receiver learns the sum of all children 0 or of
all children 1: the side where the path to its hole does not go. It then has every leaf but the one at its hole, and the
sum of all others is that leaf xor D: the leaves of the two differ at the hole alone, by D.

A level is Blocks (2^level, trees, 2). Children 0 and 1 of node j of n are nodes j and n + j of the level below, so bit
i of a leaf's number is the turn that its path takes to level i + 1.

The receiver reads and writes at places that its holes decide: its memory accesses are not independent of them, so who
shares its processor's caches might watch; who shares only the wire cannot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smule_crypten.oblivious.blocks import Blocks
from smule_crypten.oblivious.hashing import TreeHash

Holes = npt.NDArray[np.int64]
"""The number of the leaf that a receiver does not learn, for each tree."""


class Trees:
    """Grows up to `most` trees of this depth at once, in memory taken once.

    ones: the children 1 of the roots, uniform at the sender (trees, 2); the children 0 are those xor D.
    """

    def __init__(self, hash_: TreeHash, depth: int, most: int) -> None:
        self._hash = hash_
        self._depth = depth
        self._nodes = np.empty(((most << depth), 2), dtype=np.uint64)

    def sums_of_ones(self, ones: Blocks, difference: Blocks) -> Blocks:
        """The sum of all children 1 of each level, (depth, trees, 2)."""
        trees, sums = len(ones), [ones]
        self._plant(ones, difference)
        for level in range(1, self._depth):
            # Of the lowest level nothing but the children 1 is needed.
            hashed = self._hash_level(trees, level) if level == self._depth - 1 else self._grow(trees, level)
            sums.append(np.bitwise_xor.reduce(hashed, axis=0))
        return np.stack(sums)

    def sender_leaves(self, ones: Blocks, difference: Blocks, out: Blocks) -> None:
        """All leaves of the trees of `sums_of_ones`, into `out` (trees, 2^depth, 2)."""
        self._plant(ones, difference)
        for level in range(1, self._depth):
            self._grow(len(ones), level)
        out[:] = self._level(len(ones), self._depth).swapaxes(0, 1)

    def receiver_leaves(self, sums: Blocks, holes: Holes, out: Blocks) -> None:
        """Every leaf, into `out` (trees, 2^depth, 2); at the hole, the sender's leaf xor the difference.

        Args:
            sums: (depth, trees, 2), at each level the sum of the nodes on the side where the hole is not.
        """
        trees = np.arange(len(holes))
        nodes = self._level(len(holes), 1)
        nodes[1 - (holes & 1), trees] = sums[0]
        nodes[holes & 1, trees] = 0
        known = sums[0]  # the sum of all nodes of a level but the one above the hole, which is kept at 0
        for level in range(1, self._depth):
            count = 1 << level
            ones = np.bitwise_xor.reduce(self._grow(len(holes), level), axis=0)
            nodes = self._level(len(holes), level + 1)
            turn, parent = (holes >> level) & 1, holes & (count - 1)
            # The children of all nodes sum to `known`. The sums of either side count a child of the 0 above the hole.
            side = np.where((turn == 0)[:, None], ones, known ^ ones)
            beside, above = parent + (1 - turn) * count, parent + turn * count
            found = sums[level] ^ side ^ nodes[beside, trees]
            nodes[beside, trees], nodes[above, trees] = found, 0
            known = known ^ found
        nodes[holes, trees] = known
        out[:] = nodes.swapaxes(0, 1)

    def _level(self, trees: int, level: int) -> Blocks:
        """The first nodes of the memory as a level of so many trees."""
        return self._nodes[: trees << level].reshape(1 << level, trees, 2)

    def _plant(self, ones: Blocks, difference: Blocks) -> None:
        nodes = self._level(len(ones), 1)
        np.bitwise_xor(ones, difference, out=nodes[0])
        nodes[1] = ones

    def _hash_level(self, trees: int, level: int) -> Blocks:
        """The children 1 of a level, at their place behind it."""
        count = trees << level
        self._hash(self._nodes[:count], out=self._nodes[count : 2 * count])
        return self._level(trees, level + 1)[1 << level :]

    def _grow(self, trees: int, level: int) -> Blocks:
        """Put the level below in the place of a level; returns its children 1."""
        ones = self._hash_level(trees, level)
        zeros = self._level(trees, level)
        zeros ^= ones
        return ones
