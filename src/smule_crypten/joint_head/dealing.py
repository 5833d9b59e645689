"""What the dealer T deals for a solve, derived in the same way by T and by both parties.

T shares one stream with P and one with Q. What comes from a stream costs no bytes; only the owner of a product's matrix
receives corrections. Everything is modulo 2^64, 8 bytes a number.

- Matrices (once): the mask A of each matrix, from its owner's stream; that of a symmetric one is symmetric.
- Product K x, K at its owner, x shared: the mask r of the other party's share of x, and that party's share c of A r,
  from its stream; T sends A r - c to the owner.

Each value that a party gets is uniform and independent of the other party's, so each party can simulate its own. A
mask A serves one matrix, however often that is multiplied; r and c serve one product.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from smule_crypten.joint_head.plan import Attempt, SolvePlan
from smule_crypten.mpc.packing import pack
from smule_crypten.mpc.streams import Stream

RING = 64


def symmetric(triangle: torch.Tensor, size: int) -> torch.Tensor:
    """A symmetric matrix (D, D) from its upper triangle, row by row."""
    rows, columns = torch.triu_indices(size, size)
    matrix = triangle.new_zeros(size, size)
    matrix[rows, columns] = triangle
    matrix[columns, rows] = triangle
    return matrix


def triangle_of(matrix_DD: torch.Tensor) -> torch.Tensor:
    rows, columns = torch.triu_indices(len(matrix_DD), len(matrix_DD))
    return matrix_DD[rows, columns]


def matrix_mask(plan: SolvePlan, stream: Stream) -> torch.Tensor:
    """A of M_P^-1 or of G_Q, (D, D)."""
    return symmetric(stream.ring_elements((plan.triangle,)), plan.features)


def probe_mask(plan: SolvePlan, stream: Stream) -> torch.Tensor:
    """A of P's probes, (J, D); drawn after that of its inverse."""
    return stream.ring_elements((plan.probes, plan.features))


def product_masks(plan: SolvePlan, results: int, stream: Stream) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a product: r (D, C) and c (results, C)."""
    return stream.ring_elements((plan.features, plan.outputs)), stream.ring_elements((results, plan.outputs))


class SolveDealer:
    """T's side.

    Args:
        with_P, with_Q: T's streams with both.
    """

    def __init__(self, plan: SolvePlan, with_P: Stream, with_Q: Stream) -> None:
        self._plan, self._with_P, self._with_Q = plan, with_P, with_Q
        self._inverse, self._probes = matrix_mask(plan, with_P), probe_mask(plan, with_P)
        self._gram = matrix_mask(plan, with_Q)

    def right_side(self) -> torch.Tensor:
        """To P: of M_P^-1 H_Q. Once, before the first attempt."""
        return self._correction(self._inverse, self._with_Q)

    def attempt(self, attempt: Attempt) -> Iterator[tuple[bool, torch.Tensor]]:
        """Whether P gets it, and the correction: to Q of G_Q W, to P of M_P^-1 times that; at the end of the probes."""
        for _ in range(attempt.iterations):
            yield False, self._correction(self._gram, self._with_P)
            yield True, self._correction(self._inverse, self._with_Q)
        yield True, self._correction(self._probes, self._with_Q)

    def _correction(self, mask: torch.Tensor, other: Stream) -> torch.Tensor:
        r, c = product_masks(self._plan, len(mask), other)
        return pack(mask @ r - c, RING)
