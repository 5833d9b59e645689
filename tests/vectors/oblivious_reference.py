"""Silent transfer once more, slowly: Python's integers, recursion and loops, and AES of `cryptography`.

Written from the docstrings of smule_crypten/oblivious/ and from the papers they name, with no import of either. A block
is an integer of 128 bits, least significant bit 0; as bytes, as AES takes it, it is little-endian.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MASK64 = (1 << 64) - 1
MASK128 = (1 << 128) - 1
PAIR, TABLE = 1, 2
"""Uses of pads."""


def aes(key: bytes, data: bytes) -> bytes:
    """Each 16 bytes by itself (ECB)."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


def counter_mode(key: bytes, count: int) -> bytes:
    """The first bytes of AES-CTR, from counter block 0 on, big-endian as NIST SP 800-38A has it; block by block."""
    blocks = b"".join(number.to_bytes(16, "big") for number in range(-(-count // 16)))
    return aes(key, blocks)[:count]


def pi(key: bytes, block: int) -> int:
    return int.from_bytes(aes(key, block.to_bytes(16, "little")), "little")


def sigma(block: int) -> int:
    upper, lower = block >> 64, block & MASK64
    return ((upper ^ lower) << 64) | upper


def tree_hash(key: bytes, block: int) -> int:
    return pi(key, sigma(block)) ^ sigma(block)


def pad_hash(key: bytes, block: int, number: int, use: int) -> int:
    inner = pi(key, block)
    return pi(key, inner ^ (number | use << 64)) ^ inner


def public_key(seed: bytes, sender_rank: int, purpose: str) -> bytes:
    text = "|".join(["smule_crypten", "oblivious", purpose, str(sender_rank), ""])
    return hashlib.sha256(text.encode("ascii") + seed).digest()[:16]


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


def parity(block: int) -> int:
    """The mark of a block."""
    return block & 1


def times_y(block: int) -> int:
    """Times y in F_2[y] / (y^4 + y + 1), over four coefficients of 32 bits, lowest first."""
    highest, rest = block >> 96, block << 32 & MASK128
    return rest ^ highest ^ highest << 32


def of_four(low: int, high: int) -> int:
    """Two transfers as one of four: q0 + sigma q1."""
    return low ^ sigma(high)


def of_eight(low: int, middle: int, high: int) -> int:
    """Three transfers as one of eight: q0 + y q1 + y^2 q2."""
    return low ^ times_y(middle) ^ times_y(times_y(high))


def bits(number: int, count: int) -> list[int]:
    return [number >> place & 1 for place in range(count)]
