"""Products of a solve without a dealer, by ring-LWE with N = 4096 and q = 2^64: steps in lattice_polynomials.py.

Every product has a secret s of its own, so no pair (a_c, s) serves twice and no message depends on its own key. The
error of a product is taken off by the solve's rounding, so one operation does both: Delta is 8 of the 24 digits that
it drops. Integers z wrap with the probability |z| / 2^56 in place of |z| / 2^64: no lift and no wider modulus is
needed for them.

What a party knows of the errors (e, e', s; or u, e1) is not hidden by guard bits as in scheme two_party: nothing of the
result is opened but under the noise of the check and of answers, beside which it is small (docs/joint-head.md).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.joint_head.lattice_layout import Layout, cheapest
from smule_crypten.joint_head.lattice_polynomials import Owned, PublicSide, Sizes, largest_norm
from smule_crypten.joint_head.plan import PRECISION_BITS, SolvePlan
from smule_crypten.joint_head.products import MatrixName, Products, rows_of
from smule_crypten.lattice.parameters import LATTICES
from smule_crypten.lattice.ring import Spectrum
from smule_crypten.mpc.streams import Stream

SIZES = Sizes(LATTICES[-1], scale_bits=8, masked_bits=46, input_bits=60)
MOST_DEVIATION = 4.0
"""Of the error of a product, in units of 2^-VALUE_BITS, that a matrix may cause."""
_FILLED = 0.99
"""Of that, so that an inverse that is rounded to integers has room."""
_MATRICES: tuple[MatrixName, ...] = ("inverse", "probes", "gram")


class LatticeProducts(Products):
    """One party's side.

    Args:
        public_key: of the public polynomials: both parties contributed to it (mpc/keys.py), and no other solve has it.
        local: a stream that nobody else knows.
    """

    scale_bits = SIZES.scale_bits

    def __init__(self, plan: SolvePlan, public_key: bytes, local: Stream) -> None:
        super().__init__(plan)
        channels = [layout_of(plan, name).channels for name in _MATRICES]
        self._public, self._local = PublicSide(SIZES, channels, Stream(public_key)), local
        self._own: dict[MatrixName, Owned] = {}
        self._masked: dict[MatrixName, Spectrum] = {}
        self._secrets: Spectrum | None = None

    def mask(self, name: MatrixName, matrix: torch.Tensor) -> torch.Tensor:
        """Once a matrix.

        Raises:
            TrainingError: the matrix is so large that its errors would be, too.
            ProtocolError: it was masked before.
        """
        if name in self._own:
            raise ProtocolError(f"the matrix {name} is masked once a solve; begin another one")
        layout = layout_of(self._plan, name)
        worst = deviation(layout, matrix)
        if worst > MOST_DEVIATION:
            raise TrainingError(
                f"an own matrix of the joint head ({name}) is {worst / MOST_DEVIATION:.3g} times as large as errors "
                "of its products allow; standardise the features, or lower the norm that they are clipped to"
            )
        message, self._own[name] = self._public.mask(_MATRICES.index(name), layout, matrix, self._local)
        return message

    def receive_mask(self, name: MatrixName, message: torch.Tensor) -> None:
        self._masked[name] = self._public.read_mask(layout_of(self._plan, name), message)

    def message(self, name: MatrixName, share: torch.Tensor) -> torch.Tensor:
        layout = layout_of(self._plan, name)
        message, self._secrets = self._public.give(_MATRICES.index(name), layout, share, self._local)
        return message

    def given(self, name: MatrixName) -> torch.Tensor:
        if self._secrets is None:
            raise ProtocolError("a share of a product was asked for twice; hand another value over")
        s, self._secrets = self._secrets, None
        return self._public.giver_share(layout_of(self._plan, name), self._masked[name], s)

    def multiply(self, name: MatrixName, share: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
        return self._public.owner_share(self._own[name], message, share)

    @classmethod
    def masked_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return SIZES.masked_bytes(layout_of(plan, name))

    @classmethod
    def message_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return SIZES.message_bytes(layout_of(plan, name))

    @classmethod
    def dealer_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        return 0


def deviation(layout: Layout, matrix: torch.Tensor) -> float:
    """Of the error of a product, in units of 2^-VALUE_BITS once it is rounded."""
    return SIZES.deviation(largest_norm(layout, matrix)) / 2.0**PRECISION_BITS


def least_ridge(plan: SolvePlan) -> float:
    """With which no inverse is refused: its rows are at most 1 / ridge long. Of the plan's sizes, not of its ridge."""
    norm = SIZES.most_norm(_FILLED * MOST_DEVIATION * 2.0**PRECISION_BITS) / 2.0**PRECISION_BITS
    return math.sqrt(layout_of(plan, "inverse").stacked) / norm


@lru_cache(maxsize=64)
def layout_of(plan: SolvePlan, name: MatrixName) -> Layout:
    """The cheapest for a solve of one attempt."""
    uses = {"inverse": plan.iterations + 1, "gram": plan.iterations, "probes": 1}[name]
    bits = (SIZES.masked_bits, SIZES.input_bits)
    whole = Layout(SIZES.degree, rows_of(plan, name), plan.features, plan.outputs, 1, 1)
    return cheapest(whole, matrices=1, inputs=uses, bits=bits)
