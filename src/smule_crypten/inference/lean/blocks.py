"""Comparing a public number with a dealt one, block by block, without a message.

For the block r of the dealt number the parties hold XOR shares of the thermometer [r >= v] for v = 1 .. 2^b - 1. At the
public block c, share for share: "r > c" is the bit for v = c + 1, and "r = c" is the bit for v = c less that one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from smule_crypten.mpc import packing, packing_cpu
from smule_crypten.mpc.packing import MAX_WIDTH, pack_lowest
from smule_crypten.mpc.packing_cpu import Words


@dataclass(frozen=True)
class BlockPlace:
    """Where a block of `bits` bits lies: in the number from bit `shift`, its thermometer in a word from `offset`."""

    bits: int
    shift: int
    word: int
    offset: int

    @property
    def length(self) -> int:
        """Bits of the thermometer."""
        return (1 << self.bits) - 1


def places(blocks: tuple[int, ...]) -> list[BlockPlace]:
    """Blocks from the highest to the lowest; thermometers share words as far as they fit."""
    assert all(1 <= bits <= 5 for bits in blocks), "a thermometer must fit a word with a bit to spare"
    found: list[BlockPlace] = []
    shift, word, offset = sum(blocks), 0, 0
    for bits in blocks:
        shift -= bits
        length = (1 << bits) - 1
        if offset + length > MAX_WIDTH:
            word, offset = word + 1, 0
        found.append(BlockPlace(bits, shift, word, offset))
        offset += length
    return found


def word_widths(blocks: tuple[int, ...]) -> list[int]:
    """Bits of each word of thermometers."""
    widths: dict[int, int] = {}
    for place in places(blocks):
        widths[place.word] = place.offset + place.length
    return list(widths.values())


def thermometers(blocks: tuple[int, ...], numbers: torch.Tensor) -> list[torch.Tensor]:
    """The words of thermometers of int64 numbers (n,)."""
    words = [torch.zeros_like(numbers) for _ in word_widths(blocks)]
    for place in places(blocks):
        value = (numbers >> place.shift) & ((1 << place.bits) - 1)
        words[place.word] |= ((torch.ones_like(value) << value) - 1) << place.offset
    return words


def look_up(
    blocks: tuple[int, ...], public: torch.Tensor, words: list[torch.Tensor], is_first: bool
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Shares of ("r = c", "r > c") for each block, as packed bits.

    Args:
        public: c (n,), int64, or int32 where it has less than 32 bits.
        words: this party's shares of the thermometers, int64.
        is_first: whether this party adds public constants to its shares; exactly one does.
    """
    if packing.by_numpy(public):
        return [
            _looked_up_on_cpu(place, public.numpy(), words[place.word].numpy(), is_first) for place in places(blocks)
        ]
    return [looked_up_anywhere(place, public, words[place.word], is_first) for place in places(blocks)]


def looked_up_anywhere(
    place: BlockPlace, public: torch.Tensor, word: torch.Tensor, is_first: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """One block by PyTorch alone, on whatever device the values are."""
    value = (public >> place.shift) & ((1 << place.bits) - 1)
    field = (word >> place.offset) & ((1 << place.length) - 1)
    # [r >= 0] is 1, which the first party holds; the bit beyond the field is [r >= 2^b], which is 0.
    pair = ((field << 1) | int(is_first)) >> value
    at_least, greater = pack_lowest(pair, 2)
    return at_least ^ greater, greater


def _looked_up_on_cpu(
    place: BlockPlace, public: Words, word: Words, is_first: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by NumPy, in integers as narrow as thermometer and [r >= 0] are: 16 bits for blocks of up to 4."""
    kind = np.dtype(np.uint16 if place.bits <= 4 else np.uint32)
    value = (public >> public.dtype.type(place.shift)).astype(kind)
    value &= kind.type((1 << place.bits) - 1)
    word = word.view(np.uint64)
    below = place.offset - 1
    pair = (word >> np.uint64(below) if below >= 0 else word << np.uint64(1)).astype(kind)
    pair &= kind.type((2 << place.length) - 2)
    if is_first:
        pair |= kind.type(1)
    pair >>= value
    at_least, greater = packing_cpu.lowest(pair, 2)
    return torch.from_numpy(at_least ^ greater), torch.from_numpy(greater)
