"""Correlated transfers as they leave an instance. A batch serves once.

Transfer number j: a block q at the sender, q xor x D at the receiver, which knows x; D is the same in all.
- Turning: the receiver sends x xor c, one bit, and the sender adds that times D to q: now the receiver's block belongs
  to its choice c. x is uniform and serves once, so the bit says nothing.
- Pads: H(block, (j, use)) for each block that may be the receiver's. By the tweakable correlation robustness of H
  (hashing.py) the other pads are uniform to the receiver as long as no pair of number and use comes twice. This is why
  a batch refuses to be turned, parted or hashed a second time. What turning left refuses to be turned again: the sender
  would see the sum of two choices.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from smule_crypten.oblivious.blocks import (
    Bits,
    Blocks,
    Bytes,
    marks,
    pack_bits,
    refuse_other_choices,
    scaled,
    unpack_bits,
)
from smule_crypten.oblivious.hashing import PadHash

Fields = npt.NDArray[np.uint64]
"""Integers of some bits, one for each transfer."""


class Use(IntEnum):
    """What pads serve for: a part of their tweak."""

    PAIR = 1
    TABLE = 2


def fields(pads: Blocks, width: int) -> Fields:
    """The low `width` bits (1 to 64) of each pad."""
    refuse_other_width(width)
    return pads[..., 0] & np.uint64((1 << width) - 1)


def refuse_other_width(width: int) -> None:
    if not 1 <= width <= 64:
        raise ValueError(f"a field has 1 to 64 bits, got {width}")


class _Cots:
    """first: the number of the first transfer; blocks: (count, 2); is_turned: whether to choices that somebody made."""

    def __init__(self, hash_: PadHash, first: int, blocks: Blocks, is_turned: bool) -> None:
        self._hash = hash_
        self._first = first
        self._blocks = blocks
        self._is_spent = False
        self.is_turned = is_turned

    def __len__(self) -> int:
        return len(self._blocks)

    def spend(self) -> Blocks:
        """The blocks, for the only use that is made of them."""
        if self._is_spent:
            raise ValueError(f"the {len(self)} transfers from number {self._first} have served; a transfer serves once")
        self._is_spent = True
        return self._blocks

    def hashed(self, blocks: Blocks, use: Use, start: int = 0) -> Blocks:
        """Pads from what became of the blocks, one for each transfer from that at `start` on.

        Word 0 of a tweak is the number of the transfer, word 1 the use.
        """
        tweaks, first = np.empty_like(blocks), self._first + start
        tweaks[:, 0] = np.arange(first, first + len(blocks), dtype=np.uint64)
        tweaks[:, 1] = use
        return self._hash(blocks, tweaks)

    def refuse_turned(self) -> None:
        """Raise unless these are as they left their instance."""
        if self.is_turned:
            raise ValueError(f"the {len(self)} transfers from number {self._first} are turned; take others")

    def _middle(self) -> int:
        if len(self) % 2:
            raise ValueError(f"{len(self)} transfers have no halves")
        return len(self) // 2


class SenderCots(_Cots):
    """difference: D (2,)."""

    def __init__(self, hash_: PadHash, first: int, blocks: Blocks, difference: Blocks, is_turned: bool = False) -> None:
        super().__init__(hash_, first, blocks, is_turned)
        self.difference = difference

    def turned(self, flips: Bytes) -> SenderCots:
        """The batch after the receiver's message `flips`, which its `towards` made."""
        self.refuse_turned()
        turn = scaled(unpack_bits(flips, len(self)), self.difference)
        return SenderCots(self._hash, self._first, self.spend() ^ turn, self.difference, is_turned=True)

    def halves(self) -> tuple[SenderCots, SenderCots]:
        middle, blocks = self._middle(), self.spend()
        return (
            SenderCots(self._hash, self._first, blocks[:middle], self.difference, self.is_turned),
            SenderCots(self._hash, self._first + middle, blocks[middle:], self.difference, self.is_turned),
        )


class ReceiverCots(_Cots):
    """choices: what the blocks belong to (count,); None where these are still the random ones of their marks."""

    def __init__(
        self, hash_: PadHash, first: int, blocks: Blocks, choices: Bits | None = None, is_turned: bool = False
    ) -> None:
        super().__init__(hash_, first, blocks, is_turned)
        self.choices = marks(blocks) if choices is None else choices

    def towards(self, choices: Bits) -> tuple[Bytes, ReceiverCots]:
        """The message that turns the sender's batch, ceil(count / 8) bytes, and this end of the turned batch."""
        self.refuse_turned()
        if choices.shape != self.choices.shape:
            raise ValueError(f"{len(self)} transfers take as many choices, got {choices.shape}")
        refuse_other_choices(choices, most=1)
        flips = pack_bits(self.choices ^ choices)
        return flips, ReceiverCots(self._hash, self._first, self.spend(), choices, is_turned=True)

    def halves(self) -> tuple[ReceiverCots, ReceiverCots]:
        middle, blocks = self._middle(), self.spend()
        return (
            ReceiverCots(self._hash, self._first, blocks[:middle], self.choices[:middle], self.is_turned),
            ReceiverCots(self._hash, self._first + middle, blocks[middle:], self.choices[middle:], self.is_turned),
        )
