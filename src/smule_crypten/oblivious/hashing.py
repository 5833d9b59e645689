"""The hashes: AES under public keys, as a random permutation pi (eprint 2019/074).

- The tree grows by MMO with sigma: H(x) = pi(sigma(x)) xor sigma(x), circular correlation robust (section 7.3), as the
  half-tree asks (eprint 2022/1431).
- Pads come from TMMO: H(x, i) = pi(pi(x) xor i) xor pi(x), tweakable circular correlation robust (section 7.4): the
  same difference is in all transfers, and a tweak i serves the candidates of one transfer, for one use. The cheaper
  pi(sigma(x) xor i) xor sigma(x) is not used: who knows two x can choose tweaks under which the arguments of pi meet.

Each purpose has a key of its own; trees and code have one for each iteration. All come from a public seed that both
parties contributed to, new for each instance, and from the sender's rank: one who attacks many instances or iterations
cannot try one guess on all of them together (eprint 2019/1168). Within an iteration one can: LpnSet.targets.

All work in chunks that stay in the cache, in memory taken once: fresh pages cost more than AES.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from smule_crypten.oblivious.blocks import BLOCK_BYTES, Blocks, sigma

SEED_BYTES = 32
TREE, PADS, CODE = "tree", "pads", "code"
_CHUNK = 1 << 13


@dataclass(frozen=True)
class Instance:
    """What an instance is known by, to both parties alike: its public seed, and the rank of the sender, 0 or 1.

    Two parties that each send to the other have two instances, which share no key even if they share the seed.
    """

    seed: bytes
    sender_rank: int

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a public seed has {SEED_BYTES} bytes, got {len(self.seed)}")
        if self.sender_rank not in (0, 1):
            raise ValueError(f"the sender is party 0 or 1, got {self.sender_rank}")

    def label(self, purpose: str) -> bytes:
        """How a hash for this purpose begins; no two labels are the same, nor is one the beginning of another.

        The ASCII text "smule_crypten|oblivious|PURPOSE|RANK|", then the seed. Purposes: "pads"; "tree|I" and "code|I"
        of iteration I; "base|NUMBER|BIT" (base.py).
        """
        return f"smule_crypten|oblivious|{purpose}|{self.sender_rank}|".encode() + self.seed


def public_key(instance: Instance, purpose: str) -> bytes:
    """The AES-128 key of a purpose, public, and the same at both parties: 16 bytes of SHA-256 of its label."""
    return hashlib.sha256(instance.label(purpose)).digest()[:BLOCK_BYTES]


class Permutation:
    """`pi`: AES-128 on each of at most `most` blocks at once."""

    def __init__(self, key: bytes, most: int = _CHUNK) -> None:
        # The library wants room for one more block than it writes.
        self._room = np.empty((most + 1) * BLOCK_BYTES, dtype=np.uint8)
        self.rekey(key)

    def rekey(self, key: bytes) -> None:
        """Become the permutation of another key, in the same memory."""
        self._encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()

    def __call__(self, blocks: Blocks) -> Blocks:
        """Of contiguous blocks (n, 2); the result is good until the next call."""
        if len(blocks):
            self._encryptor.update_into(blocks.reshape(-1).view(np.uint8).data, self._room.data)
        return self._room[: blocks.nbytes].view(np.uint64).reshape(blocks.shape)


class TreeHash:
    """pi(sigma(x)) xor sigma(x)."""

    def __init__(self, key: bytes) -> None:
        self._permutation = Permutation(key)
        self._argument = np.empty((_CHUNK, 2), dtype=np.uint64)

    def rekey(self, key: bytes) -> None:
        self._permutation.rekey(key)

    def __call__(self, blocks: Blocks, out: Blocks) -> None:
        """Of blocks (n, 2) into `out` (n, 2), which is not `blocks`."""
        for start in range(0, len(blocks), _CHUNK):
            part = blocks[start : start + _CHUNK]
            argument = self._argument[: len(part)]
            sigma(part, out=argument)
            np.bitwise_xor(self._permutation(argument), argument, out=out[start : start + _CHUNK])


class PadHash:
    """pi(pi(x) xor i) xor pi(x). MOST: blocks that `halves` takes at once."""

    MOST = _CHUNK

    def __init__(self, key: bytes) -> None:
        # Two rooms of one permutation: both values stand side by side without a copy.
        self._first, self._second = Permutation(key), Permutation(key)
        self._argument = np.empty((_CHUNK, 2), dtype=np.uint64)

    def __call__(self, blocks: Blocks, tweaks: Blocks) -> Blocks:
        """Of blocks (n, 2), with a tweak each (n, 2)."""
        result = np.empty_like(blocks)
        for start in range(0, len(blocks), _CHUNK):
            part = slice(start, start + _CHUNK)
            np.bitwise_xor(*self.halves(np.ascontiguousarray(blocks[part]), tweaks[part]), out=result[part])
        return result

    def halves(self, blocks: Blocks, tweaks: Blocks) -> tuple[Blocks, Blocks]:
        """What is summed, of contiguous blocks, at most MOST; good until the next call."""
        inner, argument = self._first(blocks), self._argument[: len(blocks)]
        np.bitwise_xor(inner, tweaks, out=argument)
        return inner, self._second(argument)


class Hashes:
    """All that the parties of one instance compute under public keys. Iterations count from 0, the one of the start."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.pads = PadHash(public_key(instance, PADS))

    def tree_key(self, iteration: int) -> bytes:
        return public_key(self._instance, f"{TREE}|{iteration}")

    def code_key(self, iteration: int) -> bytes:
        return public_key(self._instance, f"{CODE}|{iteration}")
