"""The public code of the LPN assumption: every output is the sum (xor) of ten inputs at pseudorandom places.

Ten-local linear code, as in Ferret (eprint 2020/924); places may repeat within a row, as they do there. Row j has four
words of 64 bits; word p is the half j % 2 of the AES block that encrypts the counter (j / 2, p). From the first three
words come three places each, from the fourth one: word >> (slot * log2 k), modulo k = 2^m with m at most 21. Rows are
addressed by their number alone, so it does not matter how many are computed at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from smule_crypten.oblivious.blocks import Blocks
from smule_crypten.oblivious.hashing import Permutation

COLUMNS = 10
_SLOTS = (3, 3, 3, 1)
"""Places that each of a row's words gives."""
_MOST_BITS = 21
_CHUNK = 1 << 13
"""Rows at once: what is in work stays in the cache, beside the inputs."""

Places = npt.NDArray[np.int64]


class LocalCode:
    """`log_size`: log2 of the number of inputs."""

    def __init__(self, key: bytes, log_size: int) -> None:
        if not 1 <= log_size <= _MOST_BITS:
            raise ValueError(f"a code has 2^1 to 2^{_MOST_BITS} inputs, got 2^{log_size}")
        self._permutation = Permutation(key, most=len(_SLOTS) * _CHUNK // 2)
        self._log_size = log_size
        self._numbers = np.arange(_CHUNK // 2, dtype=np.uint64)
        self._counters = np.empty(len(_SLOTS) * _CHUNK, dtype=np.uint64)
        self._places = np.empty(_CHUNK, dtype=np.uint64)
        self._gathered = np.empty((_CHUNK, 2), dtype=np.uint64)

    def places(self, first_row: int, count: int) -> Places:
        """Which inputs make rows first_row to first_row + count, both even: int64 (COLUMNS, count)."""
        parts = [
            np.stack([places.copy() for places in self._columns(start, min(_CHUNK, first_row + count - start))])
            for start in range(first_row, first_row + count, _CHUNK)
        ]
        return np.concatenate(parts, axis=1)

    def add_to(self, rows: Blocks, inputs: Blocks, first_row: int) -> None:
        """Xor to `rows` (count, 2) the encoding of `inputs` (2^log_size, 2), in place; first_row and count are even."""
        # A complex number has the size of a block, and NumPy gathers such in one move, without looking inside.
        table = np.ascontiguousarray(inputs).reshape(-1).view(np.complex128)
        target = self._gathered.reshape(-1).view(np.complex128)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            for places in self._columns(first_row + start, len(part)):
                np.take(table, places, out=target[: len(part)], mode="clip")
                part ^= self._gathered[: len(part)]

    def _columns(self, first_row: int, count: int) -> Iterator[Places]:
        """Each column of `places` for at most _CHUNK rows; good until the next one."""
        if first_row % 2 or count % 2:
            raise ValueError(f"rows come in pairs, got {count} from {first_row}")
        counters = self._counters[: len(_SLOTS) * count].reshape(len(_SLOTS), count // 2, 2)
        np.add(self._numbers[: count // 2], np.uint64(first_row // 2), out=counters[..., 0])
        counters[..., 1] = np.arange(len(_SLOTS), dtype=np.uint64)[:, None]
        words = self._permutation(counters.reshape(-1, 2)).reshape(len(_SLOTS), count)
        found, mask = self._places[:count], np.uint64((1 << self._log_size) - 1)
        for plane, slots in enumerate(_SLOTS):
            for slot in range(slots):
                np.right_shift(words[plane], np.uint64(slot * self._log_size), out=found)
                found &= mask
                yield found.view(np.int64)
