"""Asking the joint head, with a dealer: D has samples and its share of W, M the other share. Two roles, without I/O.

W = W_D + W_M, integers of VALUE_BITS binary digits; X are D's rows of features (`with_constant`), rounded to
FEATURE_BITS. All is modulo 2^32: shares of W are reduced to that first, which changes nothing while |X W| < 2^(31 -
FEATURE_BITS - VALUE_BITS) = 8 in units of the targets. X W_D is local at D. X W_M is one linear layer turned round: X
is the matrix of D, and W_M what M hands over. (As a matrix, a share would be uniform, which lattices do not take.)

T is the dealer. A is the mask of X from D's stream, r and c are from M's; T sends D the numbers A r - c.

1. M -> D, once for all that D asks: W_M + r. 4 D C bytes.
2. D -> M, for N samples: X - A. 4 N D bytes.
3. M -> D: -(X - A) r - c, plus noise, plus (opening `differences`) one uniform number for all outputs of a sample. 4
   N C bytes. D adds X (W_M + r) - (A r - c) and X W_D.

**Opened**, to D: X W under M's fresh normal noise of the plan's deviation on each output, or only the differences
between the outputs of a sample. W_M + r, X - A and the correction are uniform; that r serves all of D's questions
gives nothing away, since all else that D sees follows from what is opened, and M sees only X - A.

**Not protected**: nobody can see how long D's rows are. D that does not clip them has less noise beside larger
outputs, up to the range; and a row can be any direction. Both are outside of what semi-honest parties do, and why
answers are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch

from smule_crypten.errors import DataError
from smule_crypten.fixed_point.wire import Post, Script, Want
from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.mpc.packing import pack, packed_bytes, signed, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Cost, DirectionCost, LogitOpening

FEATURE_BITS = 8
RING = 32
_OUTPUT_BITS = VALUE_BITS + FEATURE_BITS
ReceiveCorrection = Callable[[int], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class AskingPlan:
    """Public. features: D, the constant one included. noise: deviation of M's on an output, in units of the targets."""

    features: int
    outputs: int
    noise: float
    opening: LogitOpening

    def cost(self, batches: list[int]) -> DirectionCost:
        """Of all that D asks, in batches of these sizes, exactly; step 1 included."""
        if not batches:
            return DirectionCost(data_owner=Cost(), model_owner=Cost())
        handed = packed_bytes(self.features * self.outputs, RING)
        asked = sum(packed_bytes(batch * self.features, RING) for batch in batches)
        answered = sum(packed_bytes(batch * self.outputs, RING) for batch in batches)
        rounds = 2 * len(batches)  # step 1 crosses the first question
        return DirectionCost(
            data_owner=Cost(rounds=rounds, bytes_sent=asked, bytes_received=handed + answered, dealer_bytes=answered),
            model_owner=Cost(rounds=rounds, bytes_sent=handed + answered, bytes_received=asked),
        )


class AskingDealer:
    """T's side of one direction."""

    def __init__(self, plan: AskingPlan, model_owner: Stream, data_owner: Stream) -> None:
        self._plan, self._model_owner, self._data_owner = plan, model_owner, data_owner
        self._r = _handed_mask(plan, model_owner)

    def correction(self, batch: int) -> torch.Tensor:
        """To D, for its next batch of this size."""
        mask = _question_mask(self._plan, batch, self._data_owner)
        return pack(mask @ self._r - _answer_mask(self._plan, batch, self._model_owner), RING)


class HeadModelOwner:
    """M. share_DC: its share of W. local: a stream that nobody else knows."""

    def __init__(
        self, plan: AskingPlan, share_DC: torch.Tensor, batches: list[int], *, dealt: Stream, local: Stream
    ) -> None:
        self._plan, self._share, self._batches = plan, share_DC, batches
        self._dealt, self._local = dealt, local
        self.outbox: list[Post] = []

    def run(self) -> Script:
        if self._batches:
            r = _handed_mask(self._plan, self._dealt)
            self.outbox.append(Post("head", pack(self._share + r, RING)))
        for batch in self._batches:
            masked = yield from _take("head", (batch, self._plan.features))
            share = -(masked @ r) - _answer_mask(self._plan, batch, self._dealt)
            if self._plan.opening == "differences":
                share = share + self._local.packed(batch, RING).unsqueeze(1)
            noise = self._local.normal(tuple(share.shape)) * (self._plan.noise * 2.0**_OUTPUT_BITS)
            self.outbox.append(Post("head", pack(share + noise.round().long(), RING)))
        return torch.empty(0)


class HeadDataOwner:
    """D.

    Args:
        share_DC: its share of W.
        rows_ND: float64, as `with_constant` makes them.
        receive_correction: the next correction, of so many bytes, from the dealer.

    Raises:
        DataError: a feature is so large that its integer leaves the ring.
    """

    def __init__(
        self,
        plan: AskingPlan,
        share_DC: torch.Tensor,
        rows_ND: torch.Tensor,
        batches: list[int],
        *,
        dealt: Stream,
        receive_correction: ReceiveCorrection,
    ) -> None:
        rows = (rows_ND * (1 << FEATURE_BITS)).round()
        if not bool((rows.abs() < 1 << (RING - 1)).all()):
            raise DataError("a feature is too large for the joint head; standardise the features")
        self._plan, self._share = plan, share_DC
        self._chunks = torch.split(rows.long(), batches) if batches else ()
        self._dealt, self._receive_correction = dealt, receive_correction
        self.outbox: list[Post] = []

    def run(self) -> Script:
        """Returns what is opened, (N, C) float64 in units of the targets; differences less their mean over outputs."""
        answers = [torch.empty(0, self._plan.outputs, dtype=torch.float64)]
        handed: torch.Tensor | None = None
        for rows_ND in self._chunks:
            mask = _question_mask(self._plan, len(rows_ND), self._dealt)
            self.outbox.append(Post("head", pack(rows_ND - mask, RING)))
            if handed is None:
                handed = self._share + (yield from _take("head", tuple(self._share.shape)))
            shape = (len(rows_ND), self._plan.outputs)
            correction = unpack(self._receive_correction(packed_bytes(math.prod(shape), RING)), math.prod(shape), RING)
            opened = rows_ND @ handed - correction.view(shape) + (yield from _take("head", shape))
            if self._plan.opening == "differences":
                opened = signed(opened - opened[:, :1], RING)
            answer = signed(opened, RING).double() / (1 << _OUTPUT_BITS)
            answers.append(answer - answer.mean(dim=1, keepdim=True) if self._plan.opening == "differences" else answer)
        return torch.cat(answers)


def _handed_mask(plan: AskingPlan, model_owner: Stream) -> torch.Tensor:
    """Of W_M: r, (D, C)."""
    return model_owner.packed(plan.features * plan.outputs, RING).view(plan.features, plan.outputs)


def _question_mask(plan: AskingPlan, batch: int, data_owner: Stream) -> torch.Tensor:
    """A, (N, D)."""
    return data_owner.packed(batch * plan.features, RING).view(batch, plan.features)


def _answer_mask(plan: AskingPlan, batch: int, model_owner: Stream) -> torch.Tensor:
    """Of an answer: c, (N, C)."""
    return model_owner.packed(batch * plan.outputs, RING).view(batch, plan.outputs)


def _take(layer: str, shape: tuple[int, ...]) -> Generator[Want, torch.Tensor, torch.Tensor]:
    count = math.prod(shape)
    return unpack((yield Want(layer, packed_bytes(count, RING))), count, RING).view(shape)
