"""Blocks of 128 bits as NumPy arrays, and the few operations that everything here is made of.

Blocks: uint64 (..., 2), word 0 holding bits 0 to 63. As bytes a block is little-endian. Bit 0 of a block is its mark: 0
in every block of a sender, the choice in every block of a receiver, 1 in the sender's difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Blocks = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint8]
"""Zeros and ones, one a byte."""

RandomBytes = Callable[[int], bytes]
"""Gives so many fresh bytes that nobody else knows, as os.urandom does."""

BLOCK_BYTES = 16
_MARK = np.uint64(1)

if sys.byteorder != "little":
    raise ImportError("blocks are read as bytes, least significant first; this platform is big-endian")


def as_blocks(data: bytes | Bytes) -> Blocks:
    """Bytes as blocks (len(data) / 16, 2); the result may share their memory."""
    return np.frombuffer(data, dtype=np.uint64).reshape(-1, 2)


def as_bytes(blocks: Blocks) -> Bytes:
    """Blocks of any shape as uint8 (16 times their number,)."""
    return np.ascontiguousarray(blocks).reshape(-1).view(np.uint8)


def random_blocks(random_bytes: RandomBytes, count: int) -> Blocks:
    data = random_bytes(count * BLOCK_BYTES)
    return as_blocks(data)


def random_difference(random_bytes: RandomBytes) -> Blocks:
    """What the two blocks of each of a sender's transfers differ by: (2,), 127 random bits and its mark; read-only."""
    difference: Blocks = random_blocks(random_bytes, 1)[0].copy()
    difference[0] |= _MARK
    difference.flags.writeable = False
    return difference


def marks(blocks: Blocks) -> Bits:
    """Bit 0 of each block, uint8 (...)."""
    # The lowest byte of a block has it: platforms are little-endian here.
    lowest: Bytes = blocks.view(np.uint8)[..., 0]
    return lowest & np.uint8(1)


def clear_marks(blocks: Blocks) -> None:
    """Set bit 0 of each block to 0, in place."""
    blocks[..., 0] &= ~_MARK


def scaled(bits: Bits, block: Blocks) -> Blocks:
    """`bits` times `block` (2,): the block where a bit is 1, zeros elsewhere; no branch depends on a bit."""
    mask: Blocks = np.uint64(0) - bits.astype(np.uint64)
    result = np.empty((*bits.shape, 2), dtype=np.uint64)
    # Word by word: along the short axis it takes twice as long.
    np.bitwise_and(mask, block[0], out=result[..., 0])
    np.bitwise_and(mask, block[1], out=result[..., 1])
    return result


def sigma(blocks: Blocks, out: Blocks) -> None:
    """Sigma(l || r) = (l xor r) || l, with l the upper half: a linear orthomorphism (eprint 2019/074, section 7.3).

    sigma^2 = sigma + 1: with it, blocks are vectors over the field of four elements 0, 1, sigma, sigma + 1.
    """
    np.bitwise_xor(blocks[..., 1], blocks[..., 0], out=out[..., 1])
    out[..., 0] = blocks[..., 1]


def pack_bits(bits: Bits) -> Bytes:
    """Eight bits a byte, the first one lowest, filled up with zeros."""
    return np.packbits(bits, bitorder="little")


def pack_rows(bits: Bytes, count: int) -> Bytes:
    """The lowest bits of bytes (..., rows * count), each row packed by itself: (..., rows, ceil(count / 8))."""
    rows = (bits & np.uint8(1)).reshape(*bits.shape[:-1], bits.shape[-1] // count, count)
    return np.packbits(rows, axis=-1, bitorder="little")


def unpack_bits(data: Bytes, count: int) -> Bits:
    """Undo `pack_bits`: (count,)."""
    if len(data) != -(-count // 8):
        raise ValueError(f"{count} bits are {-(-count // 8)} bytes, got {len(data)}")
    return np.unpackbits(data, count=count, bitorder="little")


def keystream(key: bytes, num_bytes: int) -> Bytes:
    """The first bytes of AES-256-CTR under a key that serves for nothing else."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(num_bytes)), dtype=np.uint8)
