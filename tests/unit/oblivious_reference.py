"""The tree, the hashes and the code once more: Python's integers, AES from the text of FIPS 197, recursion and loops.

Shares nothing with smule_crypten.oblivious. `python tests/unit/oblivious_reference.py > tests/vectors/oblivious.json`
makes the known-answer vectors.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

MASK64 = (1 << 64) - 1


def _times_x(value: int) -> int:
    return ((value << 1) ^ (0x11B if value & 0x80 else 0)) & 0xFF


def _times(a: int, b: int) -> int:
    result = 0
    for _ in range(8):
        result ^= a if b & 1 else 0
        a, b = _times_x(a), b >> 1
    return result


def _s_box(value: int) -> int:
    inverse = next((candidate for candidate in range(256) if _times(value, candidate) == 1), 0)
    rotations = [((inverse << turn) | (inverse >> (8 - turn))) & 0xFF for turn in range(5)]
    return rotations[0] ^ rotations[1] ^ rotations[2] ^ rotations[3] ^ rotations[4] ^ 0x63


S_BOX = [_s_box(value) for value in range(256)]


def _round_keys(key: bytes) -> list[list[int]]:
    words = [list(key[4 * number : 4 * number + 4]) for number in range(4)]
    constant = 1
    for number in range(4, 44):
        word = list(words[-1])
        if number % 4 == 0:
            word = [S_BOX[value] for value in word[1:] + word[:1]]
            word[0] ^= constant
            constant = _times_x(constant)
        words.append([a ^ b for a, b in zip(words[number - 4], word, strict=True)])
    return [[value for word in words[4 * number : 4 * number + 4] for value in word] for number in range(11)]


def aes128(key: bytes, block: bytes) -> bytes:
    """FIPS 197, section 5.1. The state is a list of 16 bytes, column after column."""
    keys = _round_keys(key)
    state = [a ^ b for a, b in zip(block, keys[0], strict=True)]
    for number in range(1, 11):
        state = [S_BOX[value] for value in state]
        state = [state[(place + 4 * (place % 4)) % 16] for place in range(16)]
        if number < 10:
            mixed = []
            for start in range(0, 16, 4):
                column = state[start : start + 4]
                for row in range(4):
                    a, b, c, d = (column[(row + turn) % 4] for turn in range(4))
                    mixed.append(_times(a, 2) ^ _times(b, 3) ^ c ^ d)
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[number], strict=True)]
    return bytes(state)


def pi(key: bytes, block: int) -> int:
    return int.from_bytes(aes128(key, block.to_bytes(16, "little")), "little")


def sigma(block: int) -> int:
    upper, lower = block >> 64, block & MASK64
    return ((upper ^ lower) << 64) | upper


def tree_hash(key: bytes, block: int) -> int:
    return pi(key, sigma(block)) ^ sigma(block)


def pad_hash(key: bytes, block: int, number: int, use: int) -> int:
    inner = pi(key, block)
    return pi(key, inner ^ (number | use << 64)) ^ inner


def public_key(seed: bytes, purpose: str) -> bytes:
    return hashlib.sha256(b"smule_crypten|oblivious|" + purpose.encode() + b"|" + seed).digest()[:16]


def node(key: bytes, ones: int, difference: int, path: list[int]) -> int:
    """The node that the turns of path lead to from the root."""
    if len(path) == 1:
        return ones if path[0] else ones ^ difference
    above = node(key, ones, difference, path[:-1])
    hashed = tree_hash(key, above)
    return hashed if path[-1] else above ^ hashed


def turns(number: int, length: int) -> list[int]:
    return [(number >> level) & 1 for level in range(length)]


def level(key: bytes, ones: int, difference: int, depth: int) -> list[int]:
    return [node(key, ones, difference, turns(number, depth)) for number in range(1 << depth)]


def sum_of_ones(key: bytes, ones: int, difference: int, depth: int) -> int:
    """The sum of all nodes of a level that a turn 1 leads to."""
    total = 0
    for number, value in enumerate(level(key, ones, difference, depth)):
        if number >> (depth - 1):
            total ^= value
    return total


def places(key: bytes, log_size: int, row: int) -> list[int]:
    """The ten inputs of a row of the code."""
    found = []
    for plane, slots in enumerate((3, 3, 3, 1)):
        word = (pi(key, (row // 2) | plane << 64) >> (64 * (row % 2))) & MASK64
        found += [(word >> (slot * log_size)) % (1 << log_size) for slot in range(slots)]
    return found


def vectors() -> dict[str, Any]:
    seed = bytes(range(32))
    keys = {purpose: public_key(seed, purpose) for purpose in ("tree", "pads", "code")}
    blocks = [0, 1, MASK64, 0x0123456789ABCDEFFEDCBA9876543210, (1 << 128) - 1]
    tweaks = [(0, 1), (1, 1), (1, 2), (2**40 + 7, 2), (15_007_743, 1)]
    ones, difference, depth, hole = blocks[3], 0xDEADBEEF00112233445566778899AABB, 5, 19
    leaves = level(keys["tree"], ones, difference, depth)
    return {
        "made_by": "python tests/unit/oblivious_reference.py: pure Python from FIPS 197, eprint 2019/074 and 2022/1431",
        "confirmed_by": "AES-128 of appendix C.1 of FIPS 197, in tests/unit/oblivious/test_vectors.py",
        "numbers": "blocks are 128-bit integers in hexadecimal, least significant bit 0",
        "seed": seed.hex(),
        "keys": {purpose: key.hex() for purpose, key in keys.items()},
        "tree_hash": [[hex(block), hex(tree_hash(keys["tree"], block))] for block in blocks],
        "pad_hash": [
            [hex(block), *tweak, hex(pad_hash(keys["pads"], block, *tweak))]
            for block, tweak in zip(blocks, tweaks, strict=True)
        ],
        "tree": {
            "ones": hex(ones),
            "difference": hex(difference),
            "depth": depth,
            "leaves": [hex(leaf) for leaf in leaves],
            "sums_of_ones": [hex(sum_of_ones(keys["tree"], ones, difference, d)) for d in range(1, depth + 1)],
            "hole": hole,
            "receiver_leaf_at_hole": hex(leaves[hole] ^ difference),
        },
        "code": [
            [log_size, row, places(keys["code"], log_size, row)]
            for log_size in (6, 16, 19, 21)
            for row in (0, 1, 2, 8191, 8192, 15_564_799)
        ],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
