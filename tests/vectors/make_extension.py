"""Base transfers and extension (smule_crypten/oblivious/base.py, extension.py).

`python tests/vectors/make_extension.py` writes extension.json. Both parties' sides from their randomness, which is
drawn, in the order that the docstrings give: X25519 by the ladder of RFC 7748 (x25519_reference.py), keys by SHA-256,
columns by AES-256-CTR, rows bit by bit.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import oblivious_reference as reference
from vector_files import Vectors, digest, drawn, hexadecimal, reader, save
from x25519_reference import BASE, on_curve, x25519

SEED, RANK = bytes(range(32)), 1
CANDIDATES, COLUMNS = 640, 127


def key(number: int, bit: int, sender_point: bytes, pair: list[bytes], shared: bytes) -> bytes:
    label = f"smule_crypten|oblivious|base|{number}|{bit}|{RANK}|".encode() + SEED
    return hashlib.sha256(label + sender_point + pair[0] + pair[1] + shared).digest()


class Base(NamedTuple):
    sender_point: bytes
    points: bytes
    keys: list[list[bytes]]


def base_transfers(choices: list[int], sender: str, receiver: str) -> Base:
    """From the texts that each party's randomness is drawn from; the sender's is its scalar alone."""
    count, take = len(choices), reader(receiver)
    a = drawn(sender, 32)
    own = x25519(a, BASE)
    scalars = [take(32) for _ in choices]
    candidates = [int.from_bytes(take(32), "little") % 2**255 for _ in range(CANDIDATES)]
    points = [u.to_bytes(32, "little") for u in candidates if on_curve(u)][:count]
    forgotten = [take(32) for _ in choices]
    pairs = []
    for choice, scalar, point, other in zip(choices, scalars, points, forgotten, strict=True):
        known, unknown = x25519(scalar, BASE), x25519(other, point)
        pairs.append([unknown, known] if choice else [known, unknown])
    both = [[key(n, bit, own, pair, x25519(a, pair[bit])) for bit in (0, 1)] for n, pair in enumerate(pairs)]
    one = [
        key(n, choice, own, pair, x25519(scalar, own))
        for n, (choice, pair, scalar) in enumerate(zip(choices, pairs, scalars, strict=True))
    ]
    if one != [pair[choice] for choice, pair in zip(choices, both, strict=True)]:
        raise ValueError("the receiver's keys are not the sender's")
    return Base(own, b"".join(point for pair in pairs for point in pair), both)


def extension(count: int) -> Vectors:
    """The sender of the correlated transfers is the receiver of the base transfers."""
    sender, receiver = f"extension {count} sender", f"extension {count} receiver"
    difference = int.from_bytes(drawn(f"extension {count} difference", 16), "little") | 1
    base = base_transfers(reference.bits(difference >> 1, COLUMNS), receiver, sender)
    size = -(-count // 8)
    choices = drawn(receiver, 32 + size)[32:]
    columns, message = [choices], []
    for first, second in base.keys:
        columns.append(reference.counter_mode(first, size))
        masked = reference.counter_mode(second, size)
        message.append(bytes(g ^ h ^ x for g, h, x in zip(columns[-1], masked, choices, strict=True)))
    rows = [sum((column[j // 8] >> (j % 8) & 1) << i for i, column in enumerate(columns)) for j in range(count)]
    theirs = [row ^ (difference if row & 1 else 0) for row in rows]
    return {
        "count": count,
        "sender_random": sender,
        "receiver_random": receiver,
        "difference": hexadecimal([difference])[0],
        "sender_point": base.sender_point.hex(),
        "points_sha256": digest(base.points),
        "message_sha256": digest(b"".join(message)),
        "sender_blocks": hexadecimal(theirs),
        "receiver_blocks": hexadecimal(rows),
    }


def base_case() -> Vectors:
    choices = [1, 0, 0, 1, 1]
    found = base_transfers(choices, "base sender", "base receiver")
    return {
        "choices": choices,
        "sender_random": "base sender",
        "receiver_random": "base receiver",
        "sender_point": found.sender_point.hex(),
        "points": found.points.hex(),
        "keys": [[one.hex() for one in pair] for pair in found.keys],
    }


def vectors() -> Vectors:
    return {
        "made_by": "python tests/vectors/make_extension.py",
        "blocks": "128-bit integers in hexadecimal, least significant bit 0; drawn, see vector_files.py",
        "seed": SEED.hex(),
        "sender_rank": RANK,
        "base": base_case(),
        "extension": extension(19),
    }


if __name__ == "__main__":
    save("extension", vectors())
