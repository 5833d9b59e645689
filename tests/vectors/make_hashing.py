"""Keys and hashes (smule_crypten/oblivious/hashing.py): `python tests/vectors/make_hashing.py` writes hashing.json.

A key is the first 16 bytes of SHA-256 of a label and the public seed; hashes are those of eprint 2019/074, sections 7.3
and 7.4, with AES-128 for the permutation, by oblivious_reference.py.
"""

from __future__ import annotations

import oblivious_reference as reference
from vector_files import Vectors, hexadecimal, save

SEED = bytes(range(32))
BLOCKS = [0, 1, reference.MASK64, 0x0123456789ABCDEFFEDCBA9876543210, reference.MASK128]
TWEAKS = [(0, 1), (1, 1), (1, 2), (2**40 + 7, 2), (15_007_743, 1)]
PURPOSES = ("tree|0", "tree|3", "pads", "code|0", "code|3")


def vectors() -> Vectors:
    keys = {f"{rank}|{purpose}": reference.public_key(SEED, rank, purpose) for rank in (0, 1) for purpose in PURPOSES}
    tree, pads = keys["1|tree|3"], keys["1|pads"]
    return {
        "made_by": "python tests/vectors/make_hashing.py",
        "blocks": "128-bit integers in hexadecimal, least significant bit 0",
        "seed": SEED.hex(),
        "keys": {label: key.hex() for label, key in keys.items()},
        "tree_hash": {
            "key": "1|tree|3",
            "rows": [hexadecimal([block, reference.tree_hash(tree, block)]) for block in BLOCKS],
        },
        "pad_hash": {
            "key": "1|pads",
            "rows": [
                [*hexadecimal([block]), *tweak, *hexadecimal([reference.pad_hash(pads, block, *tweak)])]
                for block, tweak in zip(BLOCKS, TWEAKS, strict=True)
            ],
        },
    }


if __name__ == "__main__":
    save("hashing", vectors())
