"""From the comparisons of blocks to the comparison of whole numbers, by a tree of AND gates on packed bits.

Two or three neighbours combine in one level, the highest first:
greater = g1 xor (e1 and g2) xor (e1 and e2 and g3), equal = e1 and e2 and e3,
where g says "r > c" and e says "r = c" of a block. Nothing needs the "equal" of the lowest block.

All AND gates of a group are opened together. For the operands x1, x2, ... of a group, masks a1, a2, ... come from the
streams and products of masks are dealt, all as XOR shares:
1. Both parties open d_i = x_i xor a_i. 2. A product of operands is the xor over all subsets of its factors of
"the d of the factors outside, and the product of the masks inside"; the term without masks counts at one party.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import torch

Term = tuple[int, ...]
"""Operands of a group, by number, whose product is needed."""


@dataclass(frozen=True)
class Group:
    """Two or three neighbours that combine. needs_equal: whether the level above asks for their "equal".

    Operands are numbered in the order e1, g2, e2, g3, e3, less what is not needed.
    """

    size: int
    needs_equal: bool

    @property
    def num_operands(self) -> int:
        """Bits that each party opens."""
        return 2 * (self.size - 1) + self.needs_equal

    @property
    def greater_terms(self) -> tuple[Term, ...]:
        """Whose xor, with g1, is "greater"."""
        return ((0, 1),) if self.size == 2 else ((0, 1), (0, 2, 3))

    @property
    def equal_term(self) -> Term | None:
        if not self.needs_equal:
            return None
        return (0, 2) if self.size == 2 else (0, 2, 4)

    @property
    def mask_products(self) -> tuple[Term, ...]:
        """The products of masks that are dealt: every subset of two or more factors of a term, once."""
        terms = self.greater_terms + (() if self.equal_term is None else (self.equal_term,))
        found = {part for term in terms for size in range(2, len(term) + 1) for part in combinations(term, size)}
        return tuple(sorted(found))


Level = tuple[Group, ...]
"""Groups from the highest to the lowest; what they leave over, at the high end, waits for the next level."""


@cache
def tree_shape(count: int) -> tuple[Level, ...]:
    """The levels over `count` blocks, from the blocks up: as few as groups of three allow, with pairs where they do."""
    levels: list[Level] = []
    while count > 1:
        target = min(-(-count // 2), _most_nodes_below(count))
        levels.append(_level(count, target))
        count = target
    return tuple(levels)


def _most_nodes_below(count: int) -> int:
    """The largest power of three below count: so many nodes take one level less."""
    power = 1
    while 3 * power < count:
        power *= 3
    return power


def _level(count: int, target: int) -> Level:
    """Groups that make `target` of `count` nodes: as few threes as will do, at the low end, where they are cheapest."""
    fewer = count - target
    threes = max(0, 2 * fewer - count)
    sizes = [2] * (fewer - 2 * threes) + [3] * threes
    return tuple(Group(size, needs_equal=number < len(sizes) - 1) for number, size in enumerate(sizes))


def level_operands(level: Level) -> int:
    """How many bits are opened for a level, by each party."""
    return sum(group.num_operands for group in level)


def num_operands(count: int) -> int:
    """Masks that the tree over `count` blocks takes."""
    return sum(map(level_operands, tree_shape(count)))


def num_products(count: int) -> int:
    """Products of masks that are dealt for the tree over `count` blocks."""
    return sum(len(group.mask_products) for level in tree_shape(count) for group in level)


def mask_products(masks: Sequence[torch.Tensor], count: int) -> list[torch.Tensor]:
    """What the dealer computes, in order. masks: of all operands of the tree, in the clear."""
    products, rest = [], list(masks)
    for group in (group for level in tree_shape(count) for group in level):
        own, rest = rest[: group.num_operands], rest[group.num_operands :]
        products += [_and(own, term) for term in group.mask_products]
    return products


def _and(values: Sequence[torch.Tensor], term: Term) -> torch.Tensor:
    result = values[term[0]]
    for number in term[1:]:
        result = result & values[number]
    return result


Node = tuple[torch.Tensor | None, torch.Tensor]
"""Shares of (equal, greater); equal is None where nothing needs it."""


class GreaterTree:
    """One party's walk through the tree. nodes: shares of (equal, greater) of each block, highest first."""

    def __init__(
        self,
        nodes: Sequence[tuple[torch.Tensor, torch.Tensor]],
        masks: Sequence[torch.Tensor],
        products: Sequence[torch.Tensor],
        is_first: bool,
    ) -> None:
        self._nodes: list[Node] = list(nodes)
        self._masks = list(masks)
        self._products = list(products)
        self._is_first = is_first
        self._levels = list(tree_shape(len(nodes)))

    @property
    def is_done(self) -> bool:
        return not self._levels

    @property
    def greater(self) -> torch.Tensor:
        """Share of r > c."""
        return self._nodes[0][1]

    def masked_operands(self) -> list[torch.Tensor]:
        """This party's shares of what the next level opens."""
        plain = [bits for group, nodes in self._grouped() for bits in _operands(group, nodes)]
        return [bits ^ mask for bits, mask in zip(plain, self._masks, strict=False)]

    def combine(self, opened: Sequence[torch.Tensor]) -> None:
        """Go up one level with what was opened (the xor of both parties' masked operands)."""
        grouped, rest = self._grouped(), list(opened)
        combined = self._nodes[: len(self._nodes) - sum(group.size for group, _ in grouped)]
        for group, nodes in grouped:
            count = group.num_operands
            masked, rest = rest[:count], rest[count:]
            shares = self._take_products(group)
            greater = nodes[0][1]
            for term in group.greater_terms:
                greater = greater ^ self._product(term, masked, shares)
            equal = None if group.equal_term is None else self._product(group.equal_term, masked, shares)
            combined.append((equal, greater))
        self._nodes = combined
        self._levels.pop(0)

    def _grouped(self) -> list[tuple[Group, list[Node]]]:
        level = self._levels[0]
        start = len(self._nodes) - sum(group.size for group in level)
        found = []
        for group in level:
            found.append((group, self._nodes[start : start + group.size]))
            start += group.size
        return found

    def _take_products(self, group: Group) -> dict[Term, torch.Tensor]:
        """Shares of the masks of a group, and of their products, by operands."""
        count, dealt = group.num_operands, group.mask_products
        shares: dict[Term, torch.Tensor] = {(number,): mask for number, mask in enumerate(self._masks[:count])}
        shares |= dict(zip(dealt, self._products, strict=False))
        self._masks, self._products = self._masks[count:], self._products[len(dealt) :]
        return shares

    def _product(self, term: Term, masked: Sequence[torch.Tensor], shares: dict[Term, torch.Tensor]) -> torch.Tensor:
        """Share of the product of the operands of a term."""
        result = _and(masked, term) if self._is_first else torch.zeros_like(masked[0])
        for size in range(1, len(term) + 1):
            for inside in combinations(term, size):
                outside = tuple(number for number in term if number not in inside)
                part = shares[inside] if not outside else shares[inside] & _and(masked, outside)
                result = result ^ part
        return result


def _operands(group: Group, nodes: Sequence[Node]) -> list[torch.Tensor]:
    """e1, g2, e2, g3, e3, less what is not needed."""
    found: list[torch.Tensor | None] = [nodes[0][0]]
    for equal, greater in nodes[1:]:
        found += [greater, equal]
    needed = found[: group.num_operands]
    assert all(bits is not None for bits in needed)
    return [bits for bits in needed if bits is not None]
