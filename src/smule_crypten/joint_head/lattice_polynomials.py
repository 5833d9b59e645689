"""One matrix times what another party hands over, by ring-LWE: masks, messages, shares. Layouts: lattice_layout.py.

A matrix K of integers at its owner; x at the giver. a_c and P are public polynomials modulo X^N + 1 and q; Delta =
2^scale_bits.

1. The owner draws ternary u_g and errors e1 and sends c1_g = sum_c K_gc a_c + P u_g + e1, rounded to masked_bits a
   coefficient: a sample of ring-LWE for each u_g. Under the same a_c another matrix takes other u_g.
2. The giver draws a ternary s for each block of columns, and sends p = P s + e', rounded to masked_bits, and
   b_c = a_c s + e + Delta x_c, rounded to input_bits: ring-LWE with secret s. Under the same a_c another x takes
   another s.
3. The giver's share of the product is -c1_g s. The owner adds Delta times its own share of x, if it has one, to b, and
   computes sum_c K_gc b_c + p u_g.

The shares add up to Delta K x + K e + e' u - e1 s, roundings included, modulo q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from smule_crypten.joint_head.lattice_layout import Layout
from smule_crypten.joint_head.products import check_bytes
from smule_crypten.lattice.parameters import ERROR_DEVIATION, TERNARY_VARIANCE, Lattice
from smule_crypten.lattice.ring import Spectrum, errors, product, rounded, spectrum, ternary, uniform
from smule_crypten.mpc.packing import pack, packed_bytes, signed, unpack
from smule_crypten.mpc.streams import Stream


@dataclass(frozen=True)
class Sizes:
    """masked_bits: of a coefficient of c1 and of p. input_bits: of b."""

    lattice: Lattice
    scale_bits: int
    masked_bits: int
    input_bits: int

    @property
    def degree(self) -> int:
        return self.lattice.degree

    @property
    def modulus_bits(self) -> int:
        return self.lattice.modulus_bits

    def masked_bytes(self, layout: Layout) -> int:
        """Of step 1."""
        return packed_bytes(layout.groups * self.degree, self.masked_bits)

    def message_bytes(self, layout: Layout) -> int:
        """Of step 2."""
        p_bytes = packed_bytes(layout.blocks * self.degree, self.masked_bits)
        return p_bytes + packed_bytes(layout.blocks * layout.channels * self.degree, self.input_bits)

    def deviation(self, norm: float) -> float:
        """Of the error of a product, in whole units of Delta: a sum of many independent terms.

        Beyond 8 deviations with a probability below 2^-49 a value.

        Args:
            norm: Euclidean, of the rows that share a polynomial.
        """
        secret = self._of_secrets
        return math.hypot(self._error(self.input_bits) * norm, secret, secret) / 2.0**self.scale_bits

    def most_norm(self, deviation: float) -> float:
        """Of rows whose errors stay within this deviation."""
        units = (deviation * 2.0**self.scale_bits) ** 2 - 2 * self._of_secrets**2
        return math.sqrt(units) / self._error(self.input_bits)

    @property
    def _of_secrets(self) -> float:
        return math.sqrt(self.degree * TERNARY_VARIANCE) * self._error(self.masked_bits)

    def _error(self, bits: int) -> float:
        """Deviation of an error and of the rounding to so many bits, in residues."""
        return math.hypot(ERROR_DEVIATION, 2.0 ** (self.modulus_bits - bits) / math.sqrt(12))


@dataclass(frozen=True)
class Owned:
    """What the owner keeps of a masked matrix."""

    layout: Layout
    matrix: torch.Tensor
    u: Spectrum


class PublicSide:
    """The public polynomials, and what either party computes with them.

    Args:
        channels: of each matrix that is multiplied, or of inputs with other polynomials.
        stream: of a key that both parties contributed to, for this and nothing else.
    """

    def __init__(self, sizes: Sizes, channels: list[int], stream: Stream) -> None:
        self.sizes = sizes
        bits = sizes.modulus_bits
        self._common = spectrum(uniform(stream, 1, sizes.degree, bits)[0], bits)
        self._a = [uniform(stream, count, sizes.degree, bits) for count in channels]

    def mask(self, number: int, layout: Layout, matrix: torch.Tensor, local: Stream) -> tuple[torch.Tensor, Owned]:
        """Step 1, under the polynomials of this number."""
        sizes = self.sizes
        u = spectrum(ternary(local, layout.groups, sizes.degree), 2)
        masked = layout.times_all(matrix, self._a[number]) + product(self._common.beside_several(), u)
        masked += errors(local, tuple(masked.shape))
        message = pack(rounded(masked, sizes.modulus_bits, sizes.masked_bits), sizes.masked_bits)
        return message, Owned(layout, matrix, u)

    def read_mask(self, layout: Layout, message: torch.Tensor) -> Spectrum:
        """At the giver: c1."""
        check_bytes(message, self.sizes.masked_bytes(layout), "a masked matrix")
        bits = self.sizes.masked_bits
        values = unpack(message, layout.groups * self.sizes.degree, bits)
        return spectrum(signed(values, bits).view(-1, self.sizes.degree), bits)

    def give(self, number: int, layout: Layout, share_DC: torch.Tensor, local: Stream) -> tuple[torch.Tensor, Spectrum]:
        """Step 2: the message, and s."""
        sizes = self.sizes
        bits = sizes.modulus_bits
        s = spectrum(ternary(local, layout.blocks, sizes.degree), 2)
        p = product(self._common.beside_several(), s) + errors(local, (layout.blocks, sizes.degree))
        b = layout.polynomials(share_DC) << sizes.scale_bits
        a = spectrum(self._a[number], bits)
        for block in range(layout.blocks):
            b[block] += product(a, s[block].beside_several())
        b += errors(local, tuple(b.shape))
        parts = ((p, sizes.masked_bits), (b, sizes.input_bits))
        return torch.cat([pack(rounded(values, bits, kept), kept) for values, kept in parts]), s

    def giver_share(self, layout: Layout, masked: Spectrum, s: Spectrum) -> torch.Tensor:
        """Step 3 at the giver: (R, C)."""
        return -_at_places(layout, masked, s) << (self.sizes.modulus_bits - self.sizes.masked_bits)

    def owner_share(self, owned: Owned, message: torch.Tensor, share_DC: torch.Tensor | None) -> torch.Tensor:
        """Step 3 at the owner: (R, C)."""
        layout, sizes = owned.layout, self.sizes
        check_bytes(message, sizes.message_bytes(layout), "what a matrix is multiplied with")
        count = layout.blocks * sizes.degree
        p_bytes = packed_bytes(count, sizes.masked_bits)
        p = signed(unpack(message[:p_bytes], count, sizes.masked_bits), sizes.masked_bits).view(-1, sizes.degree)
        b = unpack(message[p_bytes:], count * layout.channels, sizes.input_bits)
        b = (b << (sizes.modulus_bits - sizes.input_bits)).view(layout.blocks, layout.channels, sizes.degree)
        if share_DC is not None:
            b = b + (layout.polynomials(share_DC) << sizes.scale_bits)
        known = _at_places(layout, owned.u, spectrum(p, sizes.masked_bits))
        return layout.collected(layout.times(owned.matrix, b)) + (known << (sizes.modulus_bits - sizes.masked_bits))


def largest_norm(layout: Layout, matrix: torch.Tensor) -> float:
    """Euclidean, of the rows that share a polynomial."""
    squares = matrix.double().square().sum(dim=1)
    return math.sqrt(max(float(part.sum()) for part in torch.split(squares, layout.stacked)))


def _at_places(layout: Layout, by_group: Spectrum, by_block: Spectrum) -> torch.Tensor:
    """Products of polynomials (G, N) and (blocks, N), one of them ternary, at the results' places: (R, C)."""
    found = [product(by_group, by_block[block].beside_several(), layout.places) for block in range(layout.blocks)]
    return layout.collected(torch.stack(found))
