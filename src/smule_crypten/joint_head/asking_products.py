"""One linear layer, D's features times M's share of the head, as shares: with a dealer, or by ring-LWE.

With a dealer T, modulo 2^32: the mask A of X is from D's stream; r of W_M, one for all that D asks, and c of each batch
are from M's. M sends W_M + r, D sends X - A, T sends D the numbers A r - c. D's share is X (W_M + r) - (A r - c), M's
is -(X - A) r - c. That r serves all of D's questions gives nothing away: what D sees of an answer follows from what
is opened.

Without, modulo q = 2^44, N = 2048, Delta = 2^12 (lattice_polynomials.py): X is the matrix. M hands W_M over once; D
masks each batch with fresh u and e1. The error of an answer, a part of which each party knows, is some thousandth of
M's noise beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch

from smule_crypten.errors import ConfigError, ProtocolError
from smule_crypten.joint_head.asking import OUTPUT_BITS, RING, AskingPlan, AskingSide
from smule_crypten.joint_head.lattice_layout import Layout, cheapest
from smule_crypten.joint_head.lattice_polynomials import Owned, PublicSide, Sizes
from smule_crypten.joint_head.products import check_bytes
from smule_crypten.lattice.parameters import ERROR_DEVIATION, LATTICES, hint_deviation
from smule_crypten.lattice.ring import Spectrum
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

ReceiveCorrection = Callable[[int], torch.Tensor]
SIZES = Sizes(LATTICES[0], scale_bits=12, masked_bits=26, input_bits=36)


class DealtAsking(AskingSide):
    """Of either party.

    Args:
        dealt: the stream with the dealer for this direction.
        receive_correction: at D, the next correction, of so many bytes, from the dealer.
    """

    scale_bits = 0

    def __init__(self, plan: AskingPlan, dealt: Stream, receive_correction: ReceiveCorrection | None = None) -> None:
        super().__init__(plan)
        self._dealt, self._receive_correction = dealt, receive_correction
        self._r: torch.Tensor | None = None

    def handed(self, share_DC: torch.Tensor) -> torch.Tensor:
        if self._r is not None:
            raise ProtocolError("a share of the head is handed over once a direction")
        self._r = _handed_mask(self._plan, self._dealt)
        return pack(share_DC + self._r, RING)

    def share_of_M(self, batch: int, asked: torch.Tensor) -> torch.Tensor:
        assert self._r is not None
        check_bytes(asked, self.asked_bytes(self._plan, batch), "a question to the joint head")
        masked = unpack(asked, batch * self._plan.features, RING).view(batch, -1)
        return -(masked @ self._r) - _answer_mask(self._plan, batch, self._dealt)

    def asked(self, rows_ND: torch.Tensor) -> torch.Tensor:
        return pack(rows_ND - _question_mask(self._plan, len(rows_ND), self._dealt), RING)

    def share_of_D(self, rows_ND: torch.Tensor, handed: torch.Tensor) -> torch.Tensor:
        assert self._receive_correction is not None
        check_bytes(handed, self.handed_bytes(self._plan), "a share of the joint head")
        masked = unpack(handed, self._plan.features * self._plan.outputs, RING).view(self._plan.features, -1)
        share = rows_ND @ masked
        correction = self._receive_correction(self.dealer_bytes(self._plan, len(rows_ND)))
        return share - unpack(correction, share.numel(), RING).view(share.shape)

    @classmethod
    def handed_bytes(cls, plan: AskingPlan) -> int:
        return packed_bytes(plan.features * plan.outputs, RING)

    @classmethod
    def asked_bytes(cls, plan: AskingPlan, batch: int) -> int:
        return packed_bytes(batch * plan.features, RING)

    @classmethod
    def dealer_bytes(cls, plan: AskingPlan, batch: int) -> int:
        return packed_bytes(batch * plan.outputs, RING)


class AskingDealer:
    """T's side of one direction."""

    def __init__(self, plan: AskingPlan, model_owner: Stream, data_owner: Stream) -> None:
        self._plan, self._model_owner, self._data_owner = plan, model_owner, data_owner
        self._r = _handed_mask(plan, model_owner)

    def correction(self, batch: int) -> torch.Tensor:
        """To D, for its next batch of this size."""
        mask = _question_mask(self._plan, batch, self._data_owner)
        return pack(mask @ self._r - _answer_mask(self._plan, batch, self._model_owner), RING)


class LatticeAsking(AskingSide):
    """Of either party.

    Args:
        public_key: of the public polynomials: both parties contributed to it, and no other asking has it.
        local: a stream that nobody else knows.
        insecure_noise: for tests alone: answers may show M's key.

    Raises:
        ConfigError: the noise does not hide it.
    """

    scale_bits = SIZES.scale_bits

    def __init__(self, plan: AskingPlan, public_key: bytes, local: Stream, *, insecure_noise: bool = False) -> None:
        super().__init__(plan)
        if not insecure_noise:
            check_noise(plan)
        self._public, self._local = PublicSide(SIZES, [_layout_of(plan).channels], Stream(public_key)), local
        self._secrets: Spectrum | None = None
        self._owned: Owned | None = None

    def handed(self, share_DC: torch.Tensor) -> torch.Tensor:
        if self._secrets is not None:
            raise ProtocolError("a share of the head is handed over once a direction")
        message, self._secrets = self._public.give(0, _layout_of(self._plan), share_DC, self._local)
        return message

    def share_of_M(self, batch: int, asked: torch.Tensor) -> torch.Tensor:
        assert self._secrets is not None
        layout = replace(_layout_of(self._plan), rows=batch)
        return self._public.giver_share(layout, self._public.read_mask(layout, asked), self._secrets)

    def asked(self, rows_ND: torch.Tensor) -> torch.Tensor:
        layout = replace(_layout_of(self._plan), rows=len(rows_ND))
        message, self._owned = self._public.mask(0, layout, rows_ND, self._local)
        return message

    def share_of_D(self, rows_ND: torch.Tensor, handed: torch.Tensor) -> torch.Tensor:
        assert self._owned is not None
        return self._public.owner_share(self._owned, handed, None)

    @classmethod
    def handed_bytes(cls, plan: AskingPlan) -> int:
        return SIZES.message_bytes(_layout_of(plan))

    @classmethod
    def asked_bytes(cls, plan: AskingPlan, batch: int) -> int:
        return SIZES.masked_bytes(replace(_layout_of(plan), rows=batch))

    @classmethod
    def dealer_bytes(cls, plan: AskingPlan, batch: int) -> int:
        return 0


def check_noise(plan: AskingPlan) -> None:
    """Raises ConfigError where answers under this noise would show the key of M's lattice."""
    if plan.batches and not _key_is_hidden(plan):
        raise ConfigError(
            f"noise of {plan.noise:g} on {sum(plan.batches)} answers of the joint head does not hide the key of its "
            "lattice; raise joint_head.noise, ask less, or use a dealer"
        )


def _key_is_hidden(plan: AskingPlan) -> bool:
    """Each answer is a hint on M's key s, which D's rounding of c1 multiplies, under the noise.

    Together they may cost half of the deviation that the lattice's row allows for: one more bit of log q, of which it
    has eight to spare.
    """
    if not plan.noise:
        return False
    noise = plan.noise * 2.0 ** (OUTPUT_BITS + SIZES.scale_bits)
    rounding = 2.0 ** (SIZES.modulus_bits - SIZES.masked_bits) / math.sqrt(12)
    left = hint_deviation(SIZES.lattice, sum(plan.batches) * plan.outputs, rounding, noise)
    return left > 0.5 * ERROR_DEVIATION / math.sqrt(2)


@lru_cache(maxsize=64)
def _layout_of(plan: AskingPlan) -> Layout:
    """The cheapest for all that is asked; of a whole batch."""
    rows = max(plan.batches, default=1)
    whole = Layout(SIZES.degree, rows, plan.features, plan.outputs, 1, 1)
    bits = (SIZES.masked_bits, SIZES.input_bits)
    return cheapest(whole, matrices=len(plan.batches), inputs=1, bits=bits)


def _handed_mask(plan: AskingPlan, model_owner: Stream) -> torch.Tensor:
    """Of W_M: r, (D, C)."""
    return model_owner.packed(plan.features * plan.outputs, RING).view(plan.features, plan.outputs)


def _question_mask(plan: AskingPlan, batch: int, data_owner: Stream) -> torch.Tensor:
    """A, (N, D)."""
    return data_owner.packed(batch * plan.features, RING).view(batch, plan.features)


def _answer_mask(plan: AskingPlan, batch: int, model_owner: Stream) -> torch.Tensor:
    """Of an answer: c, (N, C)."""
    return model_owner.packed(batch * plan.outputs, RING).view(batch, plan.outputs)
