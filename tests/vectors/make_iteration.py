"""A whole small iteration (smule_crypten/oblivious/iteration.py).

`python tests/vectors/make_iteration.py` writes iteration.json. The set INSECURE_TINY: 16 trees of depth 6, a code of 64
inputs; 160 correlated transfers become 1,024. The receiver's rows are computed as it does, from the message and its own
blocks: its tree has the sender's leaves, but at its hole, which is found by summing all others. Everything by
oblivious_reference.py.
"""

from __future__ import annotations

import oblivious_reference as reference
from make_pads import transfers
from vector_files import Vectors, digest, drawn, hexadecimal, save

SEED, RANK, NUMBER = bytes(range(32)), 0, 2
TREES, LOG_SIZE, DEPTH = 16, 6, 6
INPUTS, LEAVES = 1 << LOG_SIZE, 1 << DEPTH


def as_bytes(blocks: list[int]) -> bytes:
    return b"".join(block.to_bytes(16, "little") for block in blocks)


def xor(blocks: list[int]) -> int:
    total = 0
    for block in blocks:
        total ^= block
    return total


def encoded(leaves: list[list[int]], inputs: list[int]) -> list[int]:
    """Leaves of all trees, each xor its row of the code."""
    key = reference.public_key(SEED, RANK, f"code|{NUMBER}")
    flat = [leaf for tree in leaves for leaf in tree]
    return [
        leaf ^ xor([inputs[place] for place in reference.places(key, LOG_SIZE, row)]) for row, leaf in enumerate(flat)
    ]


def receiver_leaves(key: bytes, sums: list[int], hole: int) -> list[int]:
    """From the sums beside the path, level by level: all nodes of a level but the one above the hole."""
    nodes: dict[tuple[int, ...], int] = {}
    for level, given in enumerate(sums):
        grown: dict[tuple[int, ...], int] = {}
        for path, node in nodes.items():
            hashed = reference.tree_hash(key, node)
            grown[(*path, 0)], grown[(*path, 1)] = node ^ hashed, hashed
        path = tuple(reference.turns(hole, level))
        beside = 1 - (hole >> level & 1)
        grown[(*path, beside)] = given ^ xor([node for at, node in grown.items() if at[-1] == beside])
        nodes = grown
    leaves = [nodes.get(tuple(reference.turns(number, DEPTH)), 0) for number in range(LEAVES)]
    leaves[hole] = xor(leaves)
    return leaves


def vectors() -> Vectors:
    difference = int.from_bytes(drawn("iteration difference", 16), "little") | 1
    sender, receiver = transfers("iteration seeds", INPUTS + TREES * DEPTH, difference)
    key = reference.public_key(SEED, RANK, f"tree|{NUMBER}")
    ones = [int.from_bytes(drawn("iteration trees", 16 * TREES)[16 * i : 16 * i + 16], "little") for i in range(TREES)]
    # Seeds behind the inputs, and blocks of the message: all trees of level 1, then all of level 2, and so on.
    places = [[INPUTS + level * TREES + tree for level in range(DEPTH)] for tree in range(TREES)]
    message = [
        reference.sum_of_ones(key, ones[tree], difference, level + 1) ^ sender[places[tree][level]]
        for level in range(DEPTH)
        for tree in range(TREES)
    ]
    holes = [sum((receiver[place] & 1) << level for level, place in enumerate(row)) for row in places]
    trees = [reference.level(key, one, difference, DEPTH) for one in ones]
    theirs = []
    for tree, hole in enumerate(holes):
        sums = [message[level * TREES + tree] ^ receiver[places[tree][level]] for level in range(DEPTH)]
        leaves = [leaf & ~1 for leaf in receiver_leaves(key, sums, hole)]
        leaves[hole] |= 1
        theirs.append(leaves)
    ours = encoded([[leaf & ~1 for leaf in tree] for tree in trees], sender[:INPUTS])
    rows = encoded(theirs, receiver[:INPUTS])
    if any(row ^ own != (difference if row & 1 else 0) for row, own in zip(rows, ours, strict=True)):
        raise ValueError("the rows are no correlated transfers")
    return {
        "made_by": "python tests/vectors/make_iteration.py",
        "blocks": "128-bit integers in hexadecimal, least significant bit 0; drawn, see vector_files.py",
        "seed": SEED.hex(),
        "sender_rank": RANK,
        "iteration": NUMBER,
        "difference": hexadecimal([difference])[0],
        "sender_random": "iteration trees",
        "sender_seeds": hexadecimal(sender),
        "receiver_seeds": hexadecimal(receiver),
        "message": as_bytes(message).hex(),
        "holes": holes,
        "sender_rows_sha256": digest(as_bytes(ours)),
        "receiver_rows_sha256": digest(as_bytes(rows)),
        "sender_first_rows": hexadecimal(ours[:3]),
        "receiver_first_rows": hexadecimal(rows[:3]),
        "choices": "".join(str(row & 1) for row in rows),
    }


if __name__ == "__main__":
    save("iteration", vectors())
