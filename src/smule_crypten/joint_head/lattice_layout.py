"""Where the numbers of a matrix and of what it multiplies lie among the coefficients of polynomials modulo X^N + 1.

lattice/grid.py has one polynomial for each output: right for a network that is asked once, and images that differ. Here
one matrix is multiplied fifteen times with few columns, so masked weights and inputs cost alike, and `stacked` outputs
share a polynomial. Columns of x are cut into segments of s features; a polynomial holds a segment of `beside` columns:

    x_c = sum over columns j, i < s of x[c s + i, j] X^(j o s + i)                          o = stacked
    K_gc = sum over rows l < o, i < s of K[g o + l, c s + i] X^(l s + s - 1 - i)

sum_c K_gc x_c has (K x)[g o + l, j] in coefficient j o s + l s + s - 1: exponents of other pairs differ from it by no
multiple of s, and what goes around X^N = -1 ends below s - 1.

Shape legend: N coefficients, R rows, D features, C columns; H channels (segments), G groups of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

MOST_STACKED = 64
"""Rows in a polynomial: more are never cheaper for the sizes that there are."""


@dataclass(frozen=True)
class Layout:
    """stacked * beside segments fit into a polynomial."""

    degree: int
    rows: int
    features: int
    columns: int
    stacked: int
    beside: int

    @property
    def segment(self) -> int:
        """Features of one: s."""
        return min(self.features, self.degree // (self.stacked * self.beside))

    @property
    def channels(self) -> int:
        return -(-self.features // self.segment)

    @property
    def groups(self) -> int:
        return -(-self.rows // self.stacked)

    @property
    def blocks(self) -> int:
        """Of columns: each has polynomials of its own."""
        return -(-self.columns // self.beside)

    @property
    def places(self) -> torch.Tensor:
        """Coefficients (stacked * beside,) of the results: row by row of a group."""
        rows = torch.arange(self.stacked).unsqueeze(1) * self.segment
        return (rows + torch.arange(self.beside) * (self.stacked * self.segment) + self.segment - 1).flatten()

    def collected(self, found: torch.Tensor) -> torch.Tensor:
        """From the results' coefficients (blocks, G, stacked * beside) to (R, C)."""
        by_row = found.view(self.blocks, self.groups * self.stacked, self.beside)
        return by_row.transpose(0, 1).reshape(len(by_row[0]), -1)[: self.rows, : self.columns]

    def polynomials(self, x_DC: torch.Tensor) -> torch.Tensor:
        """The x_c of all blocks: (blocks, H, N)."""
        missing = (0, self.blocks * self.beside - self.columns, 0, self.channels * self.segment - self.features)
        cut = F.pad(x_DC, missing).view(self.channels, self.segment, self.blocks, self.beside)
        spread = cut.new_zeros(self.blocks, self.channels, self.beside, self.stacked * self.segment)
        spread[..., : self.segment] = cut.permute(2, 0, 3, 1)
        flat = spread.flatten(2)
        return F.pad(flat, (0, self.degree - flat.size(2)))

    def times_all(self, matrix_RD: torch.Tensor, a_HN: torch.Tensor) -> torch.Tensor:
        """All coefficients of sum_c K_gc a_c: (G, N), int64 modulo 2^64."""
        total = torch.zeros(self.groups, self.degree, dtype=torch.int64)
        extended = torch.cat([-a_HN, a_HN], dim=1)
        for row, part_GD in enumerate(self._by_row(matrix_RD)):
            first = self.degree - row * self.segment - self.segment + 1
            shifted = extended.as_strided(
                (self.channels, self.segment, self.degree), (2 * self.degree, 1, 1), extended.storage_offset() + first
            )
            total += part_GD @ shifted.reshape(-1, self.degree)[: self.features]
        return total

    def times(self, matrix_RD: torch.Tensor, b_BHN: torch.Tensor) -> torch.Tensor:
        """The results' coefficients of sum_c K_gc b_c, for each block: (blocks, G, stacked * beside)."""
        return torch.stack([self._times(matrix_RD, b_HN) for b_HN in b_BHN])

    def _times(self, matrix_RD: torch.Tensor, b_HN: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(self.groups, self.stacked * self.beside, dtype=torch.int64)
        extended = torch.cat([-b_HN, b_HN], dim=1)
        for row, part_GD in enumerate(self._by_row(matrix_RD)):
            shifted = [self._shifted(extended, place - row) for place in range(self.stacked)]
            total += part_GD @ torch.cat(shifted, dim=1)
        return total

    def _shifted(self, extended: torch.Tensor, segments: int) -> torch.Tensor:
        """What a row meets whose result lies so many segments higher than the row: (D, beside)."""
        first = self.degree + segments * self.segment
        strides = (2 * self.degree, 1, self.stacked * self.segment)
        found = extended.as_strided((self.channels, self.segment, self.beside), strides, first)
        return found.reshape(-1, self.beside)[: self.features]

    def _by_row(self, matrix_RD: torch.Tensor) -> torch.Tensor:
        """Rows by their place in a group: (stacked, G, D)."""
        filled = F.pad(matrix_RD, (0, 0, 0, self.groups * self.stacked - self.rows))
        return filled.view(self.groups, self.stacked, self.features).transpose(0, 1)


def cheapest(whole: Layout, *, matrices: int, inputs: int, bits: tuple[int, int]) -> Layout:
    """Of all ways to stack and to put beside, the one with the fewest bits in all.

    Args:
        matrices, inputs: how many are masked, and how many are handed over.
        bits: of a coefficient of a masked matrix and of p, and of b (lattice_polynomials.py).
    """

    def cost(one: Layout) -> int:
        given = one.blocks * (bits[0] + one.channels * bits[1])
        return matrices * one.groups * bits[0] + inputs * given

    beside = {min(whole.degree, -(-whole.columns // blocks)) for blocks in range(1, whole.columns + 1)}
    options = [
        replace(whole, stacked=stacked, beside=together)
        for together in sorted(beside, reverse=True)
        for stacked in range(1, min(whole.rows, whole.degree // together, MOST_STACKED) + 1)
    ]
    return min(options, key=cost)
