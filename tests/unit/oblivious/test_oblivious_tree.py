"""Half-trees: what sender and receiver know of each other's leaves, for every depth and number of trees."""

from __future__ import annotations

import numpy as np
import pytest
from oblivious_harness import PUBLIC_SEED, repeatable_bytes

from smule_crypten.oblivious.blocks import Blocks, random_blocks, random_difference, scaled
from smule_crypten.oblivious.hashing import PADS, TREE, TreeHash, public_key
from smule_crypten.oblivious.tree import Holes, Trees


def grown(depth: int, trees: int, most: int, holes: Holes) -> tuple[Blocks, Blocks, Blocks]:
    """Leaves of both, and the difference."""
    random_bytes = repeatable_bytes(depth)
    difference, ones = random_difference(random_bytes), random_blocks(random_bytes, trees)
    work = Trees(TreeHash(public_key(PUBLIC_SEED, TREE)), depth, most)
    sums = work.sums_of_ones(ones, difference)
    sender = np.empty((trees, 1 << depth, 2), dtype=np.uint64)
    receiver = np.empty_like(sender)
    work.sender_leaves(ones, difference, sender)
    turns = ((holes >> np.arange(depth)[:, None]) & 1).astype(np.uint8)
    work.receiver_leaves(sums ^ scaled(turns, difference), holes, receiver)
    return sender, receiver, difference


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 13])
@pytest.mark.parametrize(("trees", "most"), [(1, 1), (5, 5), (3, 8)])
def test_leaves_differ_at_the_hole_alone(depth: int, trees: int, most: int) -> None:
    holes = np.random.default_rng(depth).integers(0, 1 << depth, trees)
    sender, receiver, difference = grown(depth, trees, most, holes)
    expected = np.zeros_like(sender)
    expected[np.arange(trees), holes] = difference
    np.testing.assert_array_equal(sender ^ receiver, expected)


def test_every_hole_of_a_tree() -> None:
    holes = np.arange(16)
    random_bytes = repeatable_bytes(1)
    difference, one = random_difference(random_bytes), random_blocks(random_bytes, 1)
    work = Trees(TreeHash(public_key(PUBLIC_SEED, TREE)), 4, 16)
    ones = np.repeat(one, 16, axis=0)
    leaves = np.empty((16, 16, 2), dtype=np.uint64)
    work.sender_leaves(ones, difference, leaves)
    turns = ((holes >> np.arange(4)[:, None]) & 1).astype(np.uint8)
    received = np.empty_like(leaves)
    work.receiver_leaves(work.sums_of_ones(ones, difference) ^ scaled(turns, difference), holes, received)
    assert ((leaves != received).any(axis=-1) == np.eye(16, dtype=bool)).all()


def test_all_leaves_sum_to_the_difference() -> None:
    """At the sender; so the receiver's leaf at the hole says nothing but what the others say."""
    sender, receiver, difference = grown(7, 4, 4, np.array([0, 1, 64, 127]))
    np.testing.assert_array_equal(np.bitwise_xor.reduce(sender, axis=1), np.tile(difference, (4, 1)))
    assert not np.bitwise_xor.reduce(receiver, axis=1).any()


def test_leaves_look_random_and_none_comes_twice() -> None:
    sender, _, _ = grown(13, 3, 3, np.zeros(3, dtype=np.int64))
    flat = sender.reshape(-1, 2)
    assert len(np.unique(flat, axis=0)) == len(flat)
    ones = np.unpackbits(flat.view(np.uint8), axis=1).mean(axis=0)
    assert abs(ones - 0.5).max() < 5 * 0.5 / len(flat) ** 0.5


def test_a_tree_under_the_key_of_the_pads_is_another_tree() -> None:
    """That the keys are apart shows in the leaves: this is what the vectors pin."""
    difference, ones = random_difference(repeatable_bytes(3)), random_blocks(repeatable_bytes(4), 1)
    leaves = []
    for purpose in (TREE, PADS):
        out = np.empty((1, 8, 2), dtype=np.uint64)
        Trees(TreeHash(public_key(PUBLIC_SEED, purpose)), 3, 1).sender_leaves(ones, difference, out)
        leaves.append(out)
    assert (leaves[0] != leaves[1]).any(axis=-1).all()
