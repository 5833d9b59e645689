"""Products without a dealer, by ring-LWE with the lattice of N = 4096 and q = 2^64 (lattice/parameters.py).

A matrix K of integers, one owner; x shared modulo 2^64. a_c and P are public polynomials, of a key that both parties
contributed to; Delta = 2^SCALE_BITS. Packing: lattice_layout.py.

1. Once a matrix: the owner draws ternary u_g and errors e1 and sends c1_g = sum_c K_gc a_c + P u_g + e1, rounded to
   C1_BITS a coefficient. A sample of ring-LWE for each u_g.
2. Once a product, the other party draws a ternary s for each block of columns, and sends p = P s + e', rounded to
   P_BITS, and b_c = a_c s + e + Delta x_c, of its share, rounded to B_BITS. Ring-LWE with secret s: fresh for every
   product, so no pair (a_c, s) serves twice, and no message depends on its own key.
3. Its share of the product is -c1_g s. The owner adds Delta times its share of x and computes sum_c K_gc b_c + p u_g.

The shares add up to Delta K x + K e + e' u - e1 s, roundings included, modulo q = 2^64: `deviation` says how much that
is once rounded. It is what the solve's rounding takes off, too, so one operation does both: Delta is 8 of its 24
digits. Integers z wrap with the probability |z| / 2^56 in place of |z| / 2^64: no lift, and no wider modulus, is
needed for them.

What D knows of the error (e, e', s) is not hidden by guard bits as in scheme two_party: nothing of the result is
opened but under the noise of the check and of answers, beside which it is small (docs/joint-head.md has the figures).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.joint_head.lattice_layout import Layout, cheapest
from smule_crypten.joint_head.plan import PRECISION_BITS, RING_BITS, SolvePlan
from smule_crypten.joint_head.products import MatrixName, Products, check_bytes, rows_of
from smule_crypten.lattice.parameters import ERROR_DEVIATION, LATTICES, TERNARY_VARIANCE
from smule_crypten.lattice.ring import Spectrum, errors, product, rounded, spectrum, ternary, uniform
from smule_crypten.mpc.packing import pack, packed_bytes, signed, unpack
from smule_crypten.mpc.streams import Stream

LATTICE = LATTICES[-1]
SCALE_BITS = 8
C1_BITS = P_BITS = 46
B_BITS = 60
MOST_DEVIATION = 16.0
"""Of the error of a product, in units of 2^-VALUE_BITS, that a matrix may cause."""
_MATRICES: tuple[MatrixName, ...] = ("inverse", "probes", "gram")


class LatticeProducts(Products):
    """One party's side.

    Args:
        public_key: of the public polynomials: both parties contributed to it (mpc/keys.py), and no other solve has it.
        local: a stream that nobody else knows.
    """

    scale_bits = SCALE_BITS

    def __init__(self, plan: SolvePlan, public_key: bytes, local: Stream) -> None:
        super().__init__(plan)
        self._local, stream = local, Stream(public_key)
        self._common = spectrum(uniform(stream, 1, LATTICE.degree, RING_BITS)[0], RING_BITS)
        self._a: dict[MatrixName, torch.Tensor] = {
            name: uniform(stream, layout_of(plan, name).channels, LATTICE.degree, RING_BITS) for name in _MATRICES
        }
        self._own: dict[MatrixName, tuple[torch.Tensor, Spectrum]] = {}
        self._masked: dict[MatrixName, Spectrum] = {}
        self._secrets: Spectrum | None = None

    def mask(self, name: MatrixName, matrix: torch.Tensor) -> torch.Tensor:
        """Step 1.

        Raises:
            TrainingError: the matrix is so large that its errors would be, too.
            ProtocolError: it was masked before; under the same public polynomials that would show differences.
        """
        if name in self._own:
            raise ProtocolError(f"the matrix {name} is masked once; take new public polynomials")
        layout = layout_of(self._plan, name)
        worst = deviation(layout, largest_norm(layout, matrix))
        if worst > MOST_DEVIATION:
            raise TrainingError(
                f"an own matrix of the joint head ({name}) is {worst / MOST_DEVIATION:.3g} times as large as errors "
                "of its products allow; standardise the features, or lower the norm that they are clipped to"
            )
        u = spectrum(ternary(self._local, layout.groups, LATTICE.degree), 2)
        masked = layout.times_all(matrix, self._a[name]) + product(_with_axis(self._common), u)
        masked += errors(self._local, tuple(masked.shape))
        self._own[name] = matrix, u
        return pack(rounded(masked, RING_BITS, C1_BITS), C1_BITS)

    def receive_mask(self, name: MatrixName, message: torch.Tensor) -> None:
        layout = layout_of(self._plan, name)
        check_bytes(message, self.masked_bytes(self._plan, name), f"the masked matrix {name}")
        values = unpack(message, layout.groups * LATTICE.degree, C1_BITS).view(-1, LATTICE.degree)
        self._masked[name] = spectrum(signed(values, C1_BITS), C1_BITS)

    def message(self, name: MatrixName, share: torch.Tensor) -> torch.Tensor:
        """Step 2."""
        layout = layout_of(self._plan, name)
        self._secrets = s = spectrum(ternary(self._local, layout.blocks, LATTICE.degree), 2)
        p = product(_with_axis(self._common), s) + errors(self._local, (layout.blocks, LATTICE.degree))
        b = layout.polynomials(share) << SCALE_BITS
        a = spectrum(self._a[name], RING_BITS)
        for block in range(layout.blocks):
            b[block] += product(a, _with_axis(s[block]))
        b += errors(self._local, tuple(b.shape))
        return torch.cat([pack(rounded(p, RING_BITS, P_BITS), P_BITS), pack(rounded(b, RING_BITS, B_BITS), B_BITS)])

    def given(self, name: MatrixName) -> torch.Tensor:
        """Step 3 of who gives."""
        if self._secrets is None:
            raise ProtocolError("a share of a product was asked for twice; hand another value over")
        s, self._secrets = self._secrets, None
        return -_at_places(layout_of(self._plan, name), self._masked[name], s) << (RING_BITS - C1_BITS)

    def multiply(self, name: MatrixName, share: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
        """Step 3 of the owner."""
        layout, (matrix, u) = layout_of(self._plan, name), self._own[name]
        check_bytes(message, self.message_bytes(self._plan, name), f"what is multiplied by the matrix {name}")
        p_count = layout.blocks * LATTICE.degree
        p_bytes, b_count = packed_bytes(p_count, P_BITS), p_count * layout.channels
        p = signed(unpack(message[:p_bytes], p_count, P_BITS), P_BITS).view(-1, LATTICE.degree)
        b = unpack(message[p_bytes:], b_count, B_BITS).view(layout.blocks, layout.channels, LATTICE.degree)
        b = (b << (RING_BITS - B_BITS)) + (layout.polynomials(share) << SCALE_BITS)
        known = _at_places(layout, u, spectrum(p, P_BITS)) << (RING_BITS - P_BITS)
        return layout.collected(layout.times(matrix, b)) + known

    @classmethod
    def masked_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return packed_bytes(layout_of(plan, name).groups * LATTICE.degree, C1_BITS)

    @classmethod
    def message_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        layout = layout_of(plan, name)
        count = layout.blocks * LATTICE.degree
        return packed_bytes(count, P_BITS) + packed_bytes(count * layout.channels, B_BITS)

    @classmethod
    def dealer_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return 0


@lru_cache(maxsize=64)
def layout_of(plan: SolvePlan, name: MatrixName) -> Layout:
    """Of one attempt, the cheapest."""
    uses = {"inverse": plan.iterations + 1, "gram": plan.iterations, "probes": 1}[name]
    rows = rows_of(plan, name)
    return cheapest(LATTICE.degree, rows, plan.features, plan.outputs, uses, (C1_BITS, P_BITS, B_BITS))


def largest_norm(layout: Layout, matrix: torch.Tensor) -> float:
    """Euclidean, of the rows that share a polynomial."""
    squares = matrix.double().square().sum(dim=1)
    return math.sqrt(max(float(part.sum()) for part in torch.split(squares, layout.stacked)))


def deviation(layout: Layout, norm: float) -> float:
    """Of the error of a product, in units of 2^-VALUE_BITS once it is rounded: K e + e' u - e1 s with all roundings.

    A sum of many independent terms: beyond 8 deviations with a probability below 2^-49 a value.
    """
    secret = math.sqrt(layout.degree * TERNARY_VARIANCE)
    by_input = _error(B_BITS) * norm
    return math.hypot(by_input, _error(P_BITS) * secret, _error(C1_BITS) * secret) / 2.0 ** (
        PRECISION_BITS + SCALE_BITS
    )


def _error(bits: int) -> float:
    """Deviation of an error and of the rounding to so many bits."""
    return math.hypot(ERROR_DEVIATION, 2.0 ** (RING_BITS - bits) / math.sqrt(12))


def _at_places(layout: Layout, by_group: Spectrum, by_block: Spectrum) -> torch.Tensor:
    """Products of polynomials (G, N) and (blocks, N), one of them ternary, at the results' places: (R, C)."""
    found = [product(by_group, _with_axis(by_block[block]), layout.places) for block in range(layout.blocks)]
    return layout.collected(torch.stack(found))


def _with_axis(one: Spectrum) -> Spectrum:
    """A polynomial (N,) beside several."""
    return Spectrum(one.values.unsqueeze(1), one.width)
