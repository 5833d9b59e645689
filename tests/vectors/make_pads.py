"""Pads (smule_crypten/oblivious/cots.py, one_of_*.py): `python tests/vectors/make_pads.py` writes pads.json.

Correlated transfers from drawn blocks: the sender's q with mark 0, the receiver's q xor x D. The sender's pads are
H(Q xor u D, (number, use)) for every choice u, the receiver's is that of its choice, by oblivious_reference.py; number
is that of the first of the two or three transfers that combine.
"""

from __future__ import annotations

import oblivious_reference as reference
from vector_files import Vectors, drawn, hexadecimal, save

KEY = bytes(range(48, 64))
FIRST, COUNT = 2**33 + 5, 9
"""Number of the first transfer, and how many values; a batch of 1 of 4 and 1 of 8 has two and three times as many."""


def transfers(text: str, count: int, difference: int) -> tuple[list[int], list[int]]:
    """Blocks of the sender and of the receiver."""
    data = drawn(text, 16 * count)
    blocks = [int.from_bytes(data[16 * i : 16 * i + 16], "little") for i in range(count)]
    sender = [block & ~1 for block in blocks]
    return sender, [q ^ (difference if block & 1 else 0) for q, block in zip(sender, blocks, strict=True)]


def combined(parts: list[int]) -> int:
    return (lambda q: q, reference.of_four, reference.of_eight)[len(parts) - 1](*parts)


def case(members: int, use: int, difference: int) -> Vectors:
    """members: transfers that a value takes; the first of all values, then the second of all, and so on."""
    sender, receiver = transfers(f"pads {members}", members * COUNT, difference)
    all_pads, own_pads, choices = [], [], []
    for i in range(COUNT):
        mine, theirs = ([side[i + place * COUNT] for place in range(members)] for side in (sender, receiver))
        multiples = [combined([difference * bit for bit in reference.bits(u, members)]) for u in range(1 << members)]
        all_pads.append([reference.pad_hash(KEY, combined(mine) ^ m, FIRST + i, use) for m in multiples])
        own_pads.append(reference.pad_hash(KEY, combined(theirs), FIRST + i, use))
        choices.append(sum(reference.parity(block) << place for place, block in enumerate(theirs)))
    return {
        "use": use,
        "sender": hexadecimal(sender),
        "receiver": hexadecimal(receiver),
        "choices": choices,
        "sender_pads": [hexadecimal(pads) for pads in all_pads],
        "receiver_pads": hexadecimal(own_pads),
    }


def pairs(difference: int) -> Vectors:
    """The same transfers as those of one of four, as two of one of two each: low ones, then high ones."""
    sender, receiver = transfers("pads 2", 2 * COUNT, difference)
    pads = [
        [reference.pad_hash(KEY, q ^ multiple, FIRST + i, reference.PAIR) for multiple in (0, difference)]
        for i, q in enumerate(sender)
    ]
    own = [reference.pad_hash(KEY, q, FIRST + i, reference.PAIR) for i, q in enumerate(receiver)]
    return {"sender_pads": [hexadecimal(two) for two in pads], "receiver_pads": hexadecimal(own)}


def vectors() -> Vectors:
    difference = int.from_bytes(drawn("pads difference", 16), "little") | 1
    return {
        "made_by": "python tests/vectors/make_pads.py",
        "blocks": "128-bit integers in hexadecimal, least significant bit 0; drawn, see vector_files.py",
        "key": KEY.hex(),
        "difference": hexadecimal([difference])[0],
        "first": FIRST,
        "one_of_two": case(1, reference.PAIR, difference),
        "one_of_four": case(2, reference.TABLE, difference),
        "pairs_of_one_of_four": pairs(difference),
        "one_of_eight": case(3, reference.TABLE, difference),
    }


if __name__ == "__main__":
    save("pads", vectors())
