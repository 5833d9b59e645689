"""From the comparisons of blocks to the comparison of whole numbers, by a tree of AND gates on packed bits.

Two neighbours combine to r > c: greater_high xor (equal_high and greater_low), r = c: equal_high and equal_low. The
lowest block needs no "equal".
For an AND of x and y, alpha, beta and gamma = alpha and beta are dealt as XOR shares: 1. Open e = x xor alpha and
f = y xor beta. 2. Shares of x and y are (e and f, at one party) xor (e and beta_p) xor (f and alpha_p) xor gamma_p.
The gates of one pair share their operand equal_high, which is opened once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TreeShape:
    """levels: for each level from the blocks up, whether each pair, highest first, also needs "equal"."""

    levels: tuple[tuple[bool, ...], ...]

    @property
    def num_operands(self) -> int:
        return sum(map(level_operands, self.levels))

    @property
    def num_products(self) -> int:
        return sum(2 if needs_equal else 1 for level in self.levels for needs_equal in level)


def level_operands(level: tuple[bool, ...]) -> int:
    """How many bits are opened for a level, by each party."""
    return sum(3 if needs_equal else 2 for needs_equal in level)


def tree_shape(count: int) -> TreeShape:
    """The tree over `count` blocks. Pairs form from the lowest block on, whose "equal" is then never needed."""
    levels = []
    while count > 1:
        pairs = count // 2
        levels.append(tuple(number < pairs - 1 for number in range(pairs)))
        count -= pairs
    return TreeShape(tuple(levels))


def factor_products(operands: Sequence[torch.Tensor], shape: TreeShape) -> list[torch.Tensor]:
    """The products of masks that the gates need, in order: what the dealer computes. operands: the masks themselves."""
    products, rest = [], list(operands)
    for needs_equal in (flag for level in shape.levels for flag in level):
        high, low = rest.pop(0), rest.pop(0)
        products.append(high & low)
        if needs_equal:
            products.append(high & rest.pop(0))
    return products


class GreaterTree:
    """One party's walk through the tree. nodes: shares of (equal, greater) of each block, highest first."""

    def __init__(
        self,
        nodes: list[tuple[torch.Tensor, torch.Tensor]],
        operands: Sequence[torch.Tensor],
        products: Sequence[torch.Tensor],
        is_first: bool,
    ) -> None:
        self._nodes: list[tuple[torch.Tensor | None, torch.Tensor]] = list(nodes)
        self._operands = list(operands)
        self._products = list(products)
        self._is_first = is_first
        self._levels = list(tree_shape(len(nodes)).levels)

    @property
    def is_done(self) -> bool:
        return not self._levels

    @property
    def greater(self) -> torch.Tensor:
        """Share of r > c."""
        return self._nodes[0][1]

    def masked_operands(self) -> list[torch.Tensor]:
        """This party's shares of what the next level opens."""
        plain: list[torch.Tensor] = []
        unpaired = len(self._nodes) % 2
        for number, needs_equal in enumerate(self._levels[0]):
            first = unpaired + 2 * number
            (high_equal, _), (low_equal, low_greater) = self._nodes[first : first + 2]
            assert high_equal is not None
            plain += [high_equal, low_greater]
            if needs_equal:
                assert low_equal is not None
                plain.append(low_equal)
        return [bits ^ mask for bits, mask in zip(plain, self._operands, strict=False)]

    def combine(self, opened: Sequence[torch.Tensor]) -> None:
        """Go up one level with what was opened (the xor of both parties' masked operands)."""
        unpaired = len(self._nodes) % 2
        values, nodes = list(opened), self._nodes[:unpaired]
        for number, needs_equal in enumerate(self._levels[0]):
            _, high_greater = self._nodes[unpaired + 2 * number]
            high, high_mask = values.pop(0), self._operands.pop(0)
            low, low_mask = values.pop(0), self._operands.pop(0)
            greater = high_greater ^ self._and(high, high_mask, low, low_mask)
            equal = None
            if needs_equal:
                equal = self._and(high, high_mask, values.pop(0), self._operands.pop(0))
            nodes.append((equal, greater))
        self._nodes = nodes
        self._levels.pop(0)

    def _and(self, e: torch.Tensor, alpha: torch.Tensor, f: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        share = (e & beta) ^ (f & alpha) ^ self._products.pop(0)
        return share ^ (e & f) if self._is_first else share
