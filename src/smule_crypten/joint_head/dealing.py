"""Products with a dealer T: what is dealt, derived in the same way by T and by both parties, and what they make of it.

T shares one stream with P and one with Q. What comes from a stream costs no bytes; only the owner of a product's matrix
receives corrections. Everything is modulo 2^64, 8 bytes a number.

- Matrices (once): the mask A of each matrix K, from its owner's stream; that of a symmetric one is symmetric, so that
  its triangle is sent. The owner sends K - A.
- Product K x, x shared: the other party sends its share of x plus r; r and its share c of A r come from its stream,
  and T sends A r - c to the owner. The other party's share is -(K - A) r - c, the owner's K (x_owner + x_other + r)
  less the correction.

Each value that a party gets is uniform and independent of the other party's, so each party can simulate its own. A mask
A serves one matrix, however often that is multiplied; r and c serve one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.joint_head.plan import RING_BITS, Attempt, SolvePlan
from smule_crypten.joint_head.products import MatrixName, Products, check_bytes, rows_of
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

ReceiveCorrection = Callable[[int], torch.Tensor]


class DealtProducts(Products):
    """One party's side.

    Args:
        dealt: the stream with the dealer.
        receive_correction: the next correction, of so many bytes, from the dealer.
    """

    scale_bits = 0

    def __init__(self, plan: SolvePlan, dealt: Stream, receive_correction: ReceiveCorrection) -> None:
        super().__init__(plan)
        self._dealt, self._receive_correction = dealt, receive_correction
        self._own: dict[MatrixName, torch.Tensor] = {}
        self._masked: dict[MatrixName, torch.Tensor] = {}
        self._given: tuple[torch.Tensor, torch.Tensor] | None = None

    def mask(self, name: MatrixName, matrix: torch.Tensor) -> torch.Tensor:
        self._own[name] = matrix
        return pack(_numbers(name, matrix - _matrix_mask(self._plan, name, self._dealt)), RING_BITS)

    def receive_mask(self, name: MatrixName, message: torch.Tensor) -> None:
        check_bytes(message, self.masked_bytes(self._plan, name), f"the masked matrix {name}")
        numbers = unpack(message, _count(self._plan, name), RING_BITS)
        self._masked[name] = _matrix(self._plan, name, numbers)

    def message(self, name: MatrixName, share: torch.Tensor) -> torch.Tensor:
        self._given = r, _ = _product_masks(self._plan, name, self._dealt)
        return pack(share + r, RING_BITS)

    def given(self, name: MatrixName) -> torch.Tensor:
        if self._given is None:
            raise ProtocolError("a share of a product was asked for twice; hand another value over")
        (r, c), self._given = self._given, None
        return -(self._masked[name] @ r) - c

    def multiply(self, name: MatrixName, share: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
        check_bytes(message, self.message_bytes(self._plan, name), f"what is multiplied by the matrix {name}")
        theirs = unpack(message, share.numel(), RING_BITS).view(share.shape)
        result = self._own[name] @ (share + theirs)
        correction = self._receive_correction(self.dealer_bytes(self._plan, name))
        return result - unpack(correction, result.numel(), RING_BITS).view(result.shape)

    @classmethod
    def masked_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return packed_bytes(_count(plan, name), RING_BITS)

    @classmethod
    def message_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return packed_bytes(plan.features * plan.outputs, RING_BITS)

    @classmethod
    def dealer_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return packed_bytes(rows_of(plan, name) * plan.outputs, RING_BITS)


class SolveDealer:
    """T's side.

    Args:
        with_P, with_Q: T's streams with both.
    """

    def __init__(self, plan: SolvePlan, with_P: Stream, with_Q: Stream) -> None:
        self._plan, self._with_P, self._with_Q = plan, with_P, with_Q
        self._masks: dict[MatrixName, torch.Tensor] = {
            "inverse": _matrix_mask(plan, "inverse", with_P),
            "probes": _matrix_mask(plan, "probes", with_P),
            "gram": _matrix_mask(plan, "gram", with_Q),
        }

    def right_side(self) -> torch.Tensor:
        """To P: of M_P^-1 H_Q. Once, before the first attempt."""
        return self._correction("inverse", self._with_Q)

    def attempt(self, attempt: Attempt) -> Iterator[tuple[bool, torch.Tensor]]:
        """Whether P gets it, and the correction: to Q of G_Q W, to P of M_P^-1 times that; at the end of the probes."""
        for _ in range(attempt.iterations):
            yield False, self._correction("gram", self._with_P)
            yield True, self._correction("inverse", self._with_Q)
        yield True, self._correction("probes", self._with_Q)

    def _correction(self, name: MatrixName, other: Stream) -> torch.Tensor:
        r, c = _product_masks(self._plan, name, other)
        return pack(self._masks[name] @ r - c, RING_BITS)


def _count(plan: SolvePlan, name: MatrixName) -> int:
    """Numbers that a matrix has."""
    return plan.probes * plan.features if name == "probes" else plan.triangle


def _numbers(name: MatrixName, matrix: torch.Tensor) -> torch.Tensor:
    """A matrix as its numbers: the upper triangle, row by row, of a symmetric one."""
    if name == "probes":
        return matrix
    rows, columns = torch.triu_indices(len(matrix), len(matrix))
    return matrix[rows, columns]


def _matrix(plan: SolvePlan, name: MatrixName, numbers: torch.Tensor) -> torch.Tensor:
    if name == "probes":
        return numbers.view(plan.probes, plan.features)
    rows, columns = torch.triu_indices(plan.features, plan.features)
    matrix = numbers.new_zeros(plan.features, plan.features)
    matrix[rows, columns] = numbers
    matrix[columns, rows] = numbers
    return matrix


def _matrix_mask(plan: SolvePlan, name: MatrixName, owner: Stream) -> torch.Tensor:
    """A; an owner draws those of its matrices in the order of MatrixName."""
    return _matrix(plan, name, owner.ring_elements((_count(plan, name),)))


def _product_masks(plan: SolvePlan, name: MatrixName, other: Stream) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a product: r (D, C) and c (rows, C)."""
    r = other.ring_elements((plan.features, plan.outputs))
    return r, other.ring_elements((rows_of(plan, name), plan.outputs))
