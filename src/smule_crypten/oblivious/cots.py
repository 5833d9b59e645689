"""Correlated transfers as they leave an instance. A batch serves once.

Transfer number j: a block q at the sender, q xor x D at the receiver, which knows x; D is the same in all. x is random;
what a receiver chooses later, pads are turned to (turning.py).

Pads: H(block, (j, use)) for each block that may be the receiver's. By the tweakable correlation robustness of H
(hashing.py) the other pads are uniform to the receiver as long as the candidates of one number and use are hashed once:
all under the same tweak, and no other block ever under that. This is why a batch refuses to serve a second time.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from smule_crypten.oblivious.blocks import Bits, Blocks, marks
from smule_crypten.oblivious.hashing import PadHash

Fields = npt.NDArray[np.uint64]
"""Integers of some bits, one for each transfer."""

Pads = npt.NDArray[np.unsignedinteger[Any]]
"""The low bits of pads, in the smallest unsigned integers that hold them."""


class Use(IntEnum):
    """What pads serve for: a part of their tweak."""

    PAIR = 1
    TABLE = 2


def narrowed(values: Pads, width: int) -> Pads:
    """The low `width` bits in the smallest unsigned integers that hold them, as a copy where they are wider now."""
    kind = narrow_type(width)
    narrow: Pads = values.astype(kind, copy=False)
    return narrow & kind.type((1 << width) - 1)


def narrow_type(width: int) -> np.dtype[np.unsignedinteger[Any]]:
    refuse_other_width(width)
    size = next(size for size in (1, 2, 4, 8) if width <= 8 * size)
    return np.dtype(f"u{size}")


def refuse_other_width(width: int) -> None:
    if not 1 <= width <= 64:
        raise ValueError(f"a field has 1 to 64 bits, got {width}")


class _Cots:
    """first: the number of the first transfer; blocks: (count, 2)."""

    def __init__(self, hash_: PadHash, first: int, blocks: Blocks) -> None:
        self._hash = hash_
        self._first = first
        self._blocks = blocks
        self._is_spent = False

    def __len__(self) -> int:
        return len(self._blocks)

    def spend(self) -> Blocks:
        """The blocks, for the only use that is made of them."""
        if self._is_spent:
            raise ValueError(f"the {len(self)} transfers from number {self._first} have served; a transfer serves once")
        self._is_spent = True
        return self._blocks

    def _pads(self, blocks: Blocks, multiples: Blocks, use: Use, width: int, start: int) -> Pads:
        """Of contiguous blocks, for the transfers from that at `start` on, plus each multiple of D: (multiples, n).

        Word 0 of a tweak is the number of the transfer, word 1 the use.
        """
        kind = narrow_type(width)
        result = np.empty((len(multiples), len(blocks)), dtype=kind)
        most = min(self._hash.MOST, len(blocks))
        candidates, tweaks = np.empty((most, 2), dtype=np.uint64), np.empty((most, 2), dtype=np.uint64)
        tweaks[:, 1] = use
        for place in range(0, len(blocks), self._hash.MOST):
            part = blocks[place : place + most]
            number, count = self._first + start + place, len(part)
            tweaks[:count, 0] = np.arange(number, number + count, dtype=np.uint64)
            for multiple, pads in zip(multiples, result, strict=True):
                added = _plus(part, multiple, candidates[:count])
                first, second = self._hash.halves(added, tweaks[:count])
                np.bitwise_xor(_low(first, kind), _low(second, kind), out=pads[place : place + count])
        result &= kind.type((1 << width) - 1)
        return result


class SenderCots(_Cots):
    """difference: D (2,)."""

    def __init__(self, hash_: PadHash, first: int, blocks: Blocks, difference: Blocks) -> None:
        super().__init__(hash_, first, blocks)
        self.difference = difference

    def pads(self, blocks: Blocks, multiples: Blocks, use: Use, width: int, start: int = 0) -> Pads:
        """Of all that may be the receiver's: what became of the blocks (n, 2) plus each of the multiples of D (m, 2).

        The low `width` bits, (m, n), for the transfers from that at `start` on.
        """
        return self._pads(blocks, multiples, use, width, start)


class ReceiverCots(_Cots):
    @property
    def choices(self) -> Bits:
        """What the blocks belong to, at random (count,)."""
        return marks(self._blocks)

    def pads(self, blocks: Blocks, use: Use, width: int, start: int = 0) -> Pads:
        """Of what became of its blocks: (n,)."""
        own: Pads = self._pads(blocks, np.zeros((1, 2), dtype=np.uint64), use, width, start)[0]
        return own


def _plus(blocks: Blocks, multiple: Blocks, out: Blocks) -> Blocks:
    """Blocks plus one multiple of D, in `out` unless it is 0 times D: that the first pad is of 0 times D is public."""
    if not multiple.any():
        return blocks
    # Word by word: along the short axis it takes four times as long.
    for word in (0, 1):
        np.bitwise_xor(blocks[:, word], multiple[word], out=out[:, word])
    return out


def _low(blocks: Blocks, kind: np.dtype[np.unsignedinteger[Any]]) -> Pads:
    """The low bits of each block, without a copy."""
    words: Pads = blocks.view(kind)[:, 0]
    return words
