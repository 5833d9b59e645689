"""A plan: hand-overs with their products, slots and widths, and the bytes that follow. Public.

A hand-over is one value that D sends encoded, and all products of it. Its polynomials are spread over slots (each with
public polynomials a_c, and masked weights c1, of its own) and over D's secrets: polynomial i takes slot i mod slots and
secret i div slots, so that a pair (a_c, s_j) serves once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from smule_crypten.fixed_point.products import folded
from smule_crypten.fixed_point.program import Step
from smule_crypten.lattice.grid import Grid
from smule_crypten.lattice.parameters import ERROR_DEVIATION, TERNARY_VARIANCE, Lattice
from smule_crypten.lattice.spread import Spread
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import SumPool
from smule_crypten.mpc.packing import packed_bytes

_MOST_DEVIATION = 1.0
"""Of a product's error, in units of its result, for weights of the largest norm that is accepted."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product of a hand-over.

    step: of the program. pool: what is left of its pooling, to be summed over shares. start: cells of the grid before
    the first tap of the kernel's window. dilation: cells between taps. c1_bits: of a coefficient of the masked weights.
    """

    step: Step
    is_folded: bool
    outputs: int
    groups: int
    kernel_size: tuple[int, int]
    start: tuple[int, int]
    dilation: tuple[int, int]
    c1_bits: int

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def pool(self) -> SumPool | None:
        return None if self.is_folded else self.step.pool

    @property
    def stride(self) -> tuple[int, int]:
        """Of a convolution with pooling folded into it."""
        op, pool = self.step.op, self.step.pool
        assert isinstance(op, arch.Conv2d)
        if not self.is_folded:
            return op.stride
        assert pool is not None
        assert isinstance(pool.op, arch.AvgPool2d)
        return op.stride[0] * pool.op.kernel[0], op.stride[1] * pool.op.kernel[1]

    def weight(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with pooling folded into it."""
        if not self.is_folded:
            return weight
        op, pool = self.step.op, self.step.pool
        assert isinstance(op, arch.Conv2d)
        assert pool is not None
        assert isinstance(pool.op, arch.AvgPool2d)
        return folded(weight, op.stride, pool.op.kernel)

    def finished(self, outputs_NCHW: torch.Tensor) -> torch.Tensor:
        """From the windows of the grid to the value of the program's step: what is left of the pooling."""
        if isinstance(self.step.op, arch.Linear):
            return outputs_NCHW.flatten(1)
        return outputs_NCHW if self.pool is None else self.pool.sums(outputs_NCHW)


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """A value that D hands over, and the products of it.

    position: of the mask in the program. shape: of a sample's value there. spread, grid: where its pixels lie. ring:
    bits of a value of whole units. fraction: bits below a unit that shares keep. value_bits: of a coefficient of b.
    is_input: whether D alone knows the value.
    """

    position: int
    shape: tuple[int, ...]
    spread: Spread
    grid: Grid
    ring: int
    fraction: int
    value_bits: int
    is_input: bool
    products: tuple[Product, ...]
    slots: int = 1

    @property
    def name(self) -> str:
        return self.products[0].name

    @property
    def channels(self) -> int:
        """On the grid."""
        return self.spread.channels

    def kernel(self, product: Product, weight: torch.Tensor) -> torch.Tensor:
        """A weight of the program as it meets the grid: (O, channels / groups, kernel size)."""
        return self.spread.kernel(product.weight(weight))

    def place(self, polynomial: int) -> tuple[int, int]:
        """The slot and the secret of a polynomial."""
        return polynomial % self.slots, polynomial // self.slots

    def secrets(self, images: int) -> int:
        return -(-self.grid.polynomials(images) // self.slots)

    def prepared_values(self, images: int) -> int:
        """How many coefficients without a pixel D sends beforehand."""
        return self.channels * len(self.grid.layout(images).padding)

    def online_values(self, images: int) -> int:
        return self.channels * len(self.grid.layout(images).data)


@dataclass(frozen=True)
class Plan:
    """All hand-overs of a program. p_bits: of a coefficient of p. guard_bits: t."""

    lattice: Lattice
    hand_overs: tuple[HandOver, ...]
    guard_bits: int

    @cached_property
    def p_bits(self) -> int:
        return max(product.c1_bits for hand_over in self.hand_overs for product in hand_over.products)

    def secrets(self, images: int) -> int:
        """D's secrets of one micro-batch."""
        return max(hand_over.secrets(images) for hand_over in self.hand_overs)

    def c1_values(self, hand_over: HandOver, product: Product) -> int:
        return hand_over.slots * product.outputs * self.lattice.degree

    @property
    def weight_bytes(self) -> int:
        """M to D, once a set of weights."""
        return sum(self.weight_bytes_of(hand_over) for hand_over in self.hand_overs)

    def weight_bytes_of(self, hand_over: HandOver) -> int:
        return sum(packed_bytes(self.c1_values(hand_over, one), one.c1_bits) for one in hand_over.products)

    def p_bytes(self, images: int) -> int:
        """D to M, before the images of a micro-batch are looked at."""
        return packed_bytes(self.secrets(images) * self.lattice.degree, self.p_bits)

    def prepared_bytes(self, images: int) -> int:
        """The same, of b at coefficients without a pixel."""
        return sum(packed_bytes(h.prepared_values(images), h.value_bits) for h in self.hand_overs)

    def online_bytes(self, images: int) -> int:
        """D to M, layer by layer."""
        return sum(packed_bytes(h.online_values(images), h.value_bits) for h in self.hand_overs)

    def known_deviation(self, hand_over: HandOver) -> float:
        """Of the error in a value that D hands over, and knows, in units of the value: e and its own rounding."""
        unit = 2.0 ** (self.lattice.modulus_bits - hand_over.ring)
        return math.hypot(ERROR_DEVIATION, self._rounding(hand_over.value_bits)) / unit

    def deviation(self, hand_over: HandOver, product: Product, norm: float) -> float:
        """Of the error of a product, in units of its result (2^fraction): W e + e' u - e1 s with all roundings.

        A sum of many independent terms: beyond 8 deviations with a probability below 2^-49 a value.

        Args:
            norm: Euclidean, of the integer weights of an output channel.
        """
        secrets = self.secrets_deviation(hand_over, product)
        return math.hypot(self.known_deviation(hand_over) * norm, secrets) / 2.0**product.step.fraction

    def secrets_deviation(self, hand_over: HandOver, product: Product) -> float:
        """Of e' u - e1 s with the roundings of p and c1, in units of the integers of a product before its rounding."""
        unit = 2.0 ** (self.lattice.modulus_bits - hand_over.ring)
        secret = math.sqrt(self.lattice.degree * TERNARY_VARIANCE)
        by_c1, by_p = (
            math.hypot(ERROR_DEVIATION, self._rounding(bits)) * secret / unit for bits in (product.c1_bits, self.p_bits)
        )
        return math.hypot(by_c1, by_p)

    def norm_bound(self, hand_over: HandOver, product: Product) -> float:
        """Of the integer weights of an output channel: public, and M checks it.

        A value that nothing rounds, as the network's output, has a ring that is wider than its width, and as much
        larger weights.
        """
        step = product.step
        room = max(0, step.ring - step.width - step.fraction)
        return _MOST_DEVIATION * 2.0 ** (step.fraction + room) / self.known_deviation(hand_over)

    def _rounding(self, kept_bits: int) -> float:
        """Deviation of a rounding to so many bits."""
        if kept_bits == self.lattice.modulus_bits:
            return 0.0
        return 2.0 ** (self.lattice.modulus_bits - kept_bits) / math.sqrt(12)
