"""From 127 base transfers to correlated transfers, by the extension of Ishai, Kilian, Nissim, Petrank (CRYPTO 2003).

The sender holds the difference D with mark 1; the receiver draws its choices x, one bit a transfer, m transfers.

1. Base transfers in the other direction, one for each bit i of D but its mark: the receiver has two keys, the sender
   the one that D_i names.
2. Receiver -> sender, 127 m / 8 bytes: u_i = G(key_0) xor G(key_1) xor x for each i. Its own column i is G(key_0).
3. The sender's column i is G(key_(D_i)) xor D_i u_i = (the receiver's column) xor D_i x.
4. Column 0 needs no transfer: 0 at the sender, x at the receiver, which is what D_0 = 1 asks.

Row j of the columns is a block: r_j at the sender, r_j xor x_j D at the receiver. One message; nothing is opened. A
column is packed bits, the first one lowest, ceil(m / 8) bytes; the message is the columns u_1 to u_127 one behind the
other. x are random bytes that the receiver takes after those of the base transfers.
Semi-honest: u_i is hidden by the key that the sender has not. G is AES-256-CTR, each key used once.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.oblivious.base import receive_keys, send_keys
from smule_crypten.oblivious.blocks import Bits, Blocks, Bytes, RandomBytes, as_bytes, keystream, unpack_bits
from smule_crypten.oblivious.hashing import Instance
from smule_crypten.oblivious.script import Script, Send, Want, received

NUM_COLUMNS = 127
_CHUNK = 1 << 13


def message_bytes(count: int) -> int:
    """What the receiver sends for so many transfers, the base transfers aside."""
    return NUM_COLUMNS * _column_bytes(count)


def extend_sender(instance: Instance, difference: Blocks, count: int, random_bytes: RandomBytes) -> Script[Blocks]:
    """The sender's blocks (count, 2); mark 0 each.

    Raises:
        ProtocolError: see base.py.
    """
    bits = unpack_bits(as_bytes(difference), 128)[1:]
    keys = yield from receive_keys(instance, bits, random_bytes)
    want = Want("extension", message_bytes(count))
    masked = received((yield want), want).reshape(NUM_COLUMNS, -1)
    columns = np.empty((128, _column_bytes(count)), dtype=np.uint8)
    columns[0] = 0
    for number, key in enumerate(keys):
        columns[1 + number] = keystream(key, columns.shape[1])
    columns[1:] ^= masked & (np.uint8(0) - bits)[:, None]
    return _rows(columns, count)


def extend_receiver(instance: Instance, count: int, random_bytes: RandomBytes) -> Script[Blocks]:
    """The receiver's blocks (count, 2); the mark of each is its choice, drawn here.

    Raises:
        ProtocolError: see base.py.
    """
    keys = yield from send_keys(instance, NUM_COLUMNS, random_bytes)
    columns = np.empty((128, _column_bytes(count)), dtype=np.uint8)
    columns[0] = np.frombuffer(random_bytes(columns.shape[1]), dtype=np.uint8)
    masked = np.empty((NUM_COLUMNS, columns.shape[1]), dtype=np.uint8)
    for number, (first, second) in enumerate(keys):
        columns[1 + number] = keystream(first, columns.shape[1])
        masked[number] = columns[1 + number] ^ keystream(second, columns.shape[1]) ^ columns[0]
    yield Send("extension", masked.reshape(-1))
    return _rows(columns, count)


def _column_bytes(count: int) -> int:
    return -(-count // 8)


def _rows(columns: Bytes, count: int) -> Blocks:
    """128 columns of packed bits as blocks: bit i of block j is bit j of column i."""
    rows = np.empty((8 * columns.shape[1], 16), dtype=np.uint8)
    for start in range(0, columns.shape[1], _CHUNK):
        bits: Bits = np.unpackbits(columns[:, start : start + _CHUNK], axis=1, bitorder="little")
        rows[8 * start : 8 * start + bits.shape[1]] = np.packbits(bits.T, axis=1, bitorder="little")
    return rows.view(np.uint64)[:count]
