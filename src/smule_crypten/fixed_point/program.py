"""The steps of the lean scheme: which value has which width, in which ring.

Every value is an integer with `width` significant bits (two's complement) above `fraction` bits that the next
truncation drops: an activation has fraction 0, a product has the fraction of its weights. Shares of a value are exact
modulo 2^ring, where ring is what its users need. All of this follows from the architecture and the options
(lowering.py), so both parties and the dealer know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.pooling import SumPool


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The truncation and opening of a value, per sample: `elements` values of `width` bits, brought to ring `ring`.

    fraction: bits below them that are rounded away. offset: what is added before the comparison with zero and taken off
    again: 0 for a ReLU; a truncation keeps values from -offset on. blocks: widths of the blocks of the comparison,
    highest first, width - 1 bits in all.
    """

    elements: int
    width: int
    ring: int
    blocks: tuple[int, ...]
    fraction: int = 0
    offset: int = 0

    @property
    def extension(self) -> int:
        """Bits by which the ring grows."""
        return max(0, self.ring - self.width)

    @property
    def source_bits(self) -> int:
        """Of a value before its truncation."""
        return self.width + self.fraction

    @property
    def dtype(self) -> torch.dtype:
        """int32 where all that it computes is right modulo 2^32, and what is opened not negative then; else int64."""
        fits = max(self.source_bits, self.ring) <= 32 and self.width < 32
        return torch.int32 if fits else torch.int64


Kind = Literal["input", "mask", "product", "truncate", "relu", "max", "sum", "weight", "add", "flatten"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. inputs are positions of earlier steps; shape leaves out the batch.

    input: D's input. mask: D hands its share to M under a mask. product: L_W of a masked value, then sums over pool.
    truncate: drop the fraction. relu: the same, and what is negative becomes zero. max: maximum over windows.
    sum: sums over windows. weight: sums over windows of different size, times public integers. add: the sum of two
    values; shifts bring both to one fraction. flatten: a new shape.
    """

    name: str
    kind: Kind
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    width: int
    fraction: int = 0
    op: arch.Op | None = None
    pool: SumPool | None = None
    shifts: tuple[int, int] = (0, 0)
    ring: int = 0
    openings: tuple[Opening, ...] = ()
    is_non_negative: bool = False

    @property
    def elements(self) -> int:
        return num_elements(self.shape)

    @property
    def weighted(self) -> arch.WeightedOp:
        """The operation of a product."""
        assert isinstance(self.op, arch.Conv2d | arch.Linear)
        return self.op


@dataclass(frozen=True)
class Program:
    """Steps in order; the last one is the output. input_bits are the fractional bits of an input."""

    steps: tuple[Step, ...]
    input_bits: int

    @property
    def output(self) -> Step:
        return self.steps[-1]

    @property
    def products(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind == "product")

    @property
    def num_multiplications(self) -> int:
        """Of one evaluation of one sample."""
        return sum(step.elements * num_elements(step.weighted.weight_shape[1:]) for step in self.products)
