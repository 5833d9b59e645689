"""Half-trees (smule_crypten/oblivious/tree.py): `python tests/vectors/make_tree.py` writes tree.json.

Each node of a tree (eprint 2022/1431, section 4) is computed by itself, from the root down its path, by
oblivious_reference.py; sums are over all nodes that a turn 1 leads to.
"""

from __future__ import annotations

import oblivious_reference as reference
from vector_files import Vectors, drawn, hexadecimal, save

KEY = bytes(range(16, 32))
CASES = [(1, 0), (1, 1), (2, 2), (5, 19), (5, 31), (6, 0)]
"""Depth and hole."""


def case(depth: int, hole: int) -> Vectors:
    text = f"tree {depth} {hole}"
    ones = int.from_bytes(drawn(f"{text} ones", 16), "little")
    difference = int.from_bytes(drawn(f"{text} difference", 16), "little") | 1
    leaves = reference.level(KEY, ones, difference, depth)
    sums = [reference.sum_of_ones(KEY, ones, difference, level) for level in range(1, depth + 1)]
    # What the receiver gets of a level: the children on the side where its path does not turn.
    turns = reference.turns(hole, depth)
    got = [total ^ (difference if turn else 0) for total, turn in zip(sums, turns, strict=True)]
    return {
        "depth": depth,
        "hole": hole,
        "difference": hexadecimal([difference])[0],
        "ones": hexadecimal([ones])[0],
        "leaves": hexadecimal(leaves),
        "sums_of_ones": hexadecimal(sums),
        "sums_beside_the_path": hexadecimal(got),
        "receiver_leaf_at_hole": hexadecimal([leaves[hole] ^ difference])[0],
    }


def vectors() -> Vectors:
    return {
        "made_by": "python tests/vectors/make_tree.py",
        "blocks": "128-bit integers in hexadecimal, least significant bit 0; drawn, see vector_files.py",
        "key": KEY.hex(),
        "cases": [case(depth, hole) for depth, hole in CASES],
    }


if __name__ == "__main__":
    save("tree", vectors())
