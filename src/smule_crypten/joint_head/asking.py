"""Asking the joint head: D has samples and its share of W, M the other share. Two roles, without I/O.

W = W_D + W_M, integers of VALUE_BITS binary digits; in a run M's noise on the weights is in W (weight_noise.py). X are
D's rows of features (`with_constant`), rounded to FEATURE_BITS. X W is held modulo 2^32: shares of W are reduced to
that first, which changes nothing while its outputs are below 8 in units of the targets. X W_D is local at D. X W_M is
one linear layer turned round: X is the matrix of D, and W_M what M hands over. (As a matrix, a share would be uniform,
which lattices do not take.) asking_products.py does that layer, with a dealer or without; without, shares have some
binary digits more.

1. M -> D, once for all that D asks: W_M, masked.
2. D -> M, for N samples: X, masked.
3. M -> D: its share of X W_M plus noise, plus (opening `differences`) one uniform number for all outputs of a sample:
   32 bits each, the highest ones. D adds its own share and X W_D.

**Opened**, to D: X W under M's fresh normal noise of the plan's deviation on each output, or only the differences
between the outputs of a sample. All else that crosses is uniform to whom it goes, or looks so under ring-LWE. The fresh
noise hides M's key and the lattice's errors, and nothing of W: if D repeats a question, it averages out.

**Not protected**: nobody can see how long D's rows are, and a row can be any direction. D that does not clip takes the
fresh noise off: outputs wrap, so multiples of a row give an output digit by digit. Without a dealer a malformed
question is answered with M's key, so that few answers give its whole share: outside of what semi-honest parties do. So
D may come to know all of W, which is why M's noise is in it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass

import torch

from smule_crypten.errors import DataError
from smule_crypten.fixed_point.wire import Post, Script, Want
from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.mpc.packing import pack, packed_bytes, signed, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Cost, DirectionCost, LogitOpening

FEATURE_BITS = 8
FLOODING = 2.0**-7
"""Deviation of M's fresh noise on an answer, in units of the targets: the least power of two that hides the key of its
lattice (check_noise) in a quarter as many answers as 3,201 features, of 100 outputs each. What hides the head is the
noise on its weights; this one, a repeated question averages out."""
RING = 32
OUTPUT_BITS = VALUE_BITS + FEATURE_BITS


@dataclass(frozen=True, kw_only=True)
class AskingPlan:
    """Public. features: D, the constant one included. batches: how many samples D asks for at a time.

    noise: deviation of M's fresh noise on an output, in units of the targets.
    """

    features: int
    outputs: int
    batches: tuple[int, ...]
    opening: LogitOpening
    noise: float = FLOODING

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"the noise of the joint head's answers is a finite number from 0, got {self.noise}")


class AskingSide(ABC):
    """One party's side of X W_M. Messages are packed; shares of the product are modulo 2^(RING + scale_bits)."""

    scale_bits: int

    def __init__(self, plan: AskingPlan) -> None:
        self._plan = plan

    @abstractmethod
    def handed(self, share_DC: torch.Tensor) -> torch.Tensor:
        """At M: W_M, masked; once."""

    @abstractmethod
    def share_of_M(self, batch: int, asked: torch.Tensor) -> torch.Tensor:
        """At M: its share (N, C), from D's message."""

    @abstractmethod
    def asked(self, rows_ND: torch.Tensor) -> torch.Tensor:
        """At D: X, masked."""

    @abstractmethod
    def share_of_D(self, rows_ND: torch.Tensor, handed: torch.Tensor) -> torch.Tensor:
        """At D: its share (N, C), for the rows that were asked last, from what M handed over."""

    @classmethod
    @abstractmethod
    def handed_bytes(cls, plan: AskingPlan) -> int:
        """Of `handed`."""

    @classmethod
    @abstractmethod
    def asked_bytes(cls, plan: AskingPlan, batch: int) -> int:
        """Of `asked`."""

    @classmethod
    @abstractmethod
    def dealer_bytes(cls, plan: AskingPlan, batch: int) -> int:
        """What D gets of a dealer for a batch."""


def asking_cost(plan: AskingPlan, side: type[AskingSide]) -> DirectionCost:
    """Of all that D asks, exactly."""
    if not plan.batches:
        return DirectionCost(data_owner=Cost(), model_owner=Cost())
    answered = side.handed_bytes(plan) + sum(packed_bytes(batch * plan.outputs, RING) for batch in plan.batches)
    asked = sum(side.asked_bytes(plan, batch) for batch in plan.batches)
    dealt = sum(side.dealer_bytes(plan, batch) for batch in plan.batches)
    rounds = 2 * len(plan.batches)  # step 1 crosses the first question
    return DirectionCost(
        data_owner=Cost(rounds=rounds, bytes_sent=asked, bytes_received=answered, dealer_bytes=dealt),
        model_owner=Cost(rounds=rounds, bytes_sent=answered, bytes_received=asked),
    )


class HeadModelOwner:
    """M. share_DC: its share of W. local: a stream that nobody else knows. outbox: what nobody has taken yet."""

    def __init__(self, plan: AskingPlan, share_DC: torch.Tensor, *, side: AskingSide, local: Stream) -> None:
        self._plan, self._share = plan, share_DC
        self._side, self._local = side, local
        self.outbox: list[Post] = []

    def run(self) -> Script:
        plan, scale_bits = self._plan, self._side.scale_bits
        if plan.batches:
            self.outbox.append(Post("head", self._side.handed(signed(self._share, RING))))
        for batch in plan.batches:
            share = self._side.share_of_M(batch, (yield Want("head", self._side.asked_bytes(plan, batch))))
            if plan.opening == "differences":
                share = share + self._local.packed(batch, RING + scale_bits).unsqueeze(1)
            noise = self._local.normal(tuple(share.shape)) * (plan.noise * 2.0 ** (OUTPUT_BITS + scale_bits))
            self.outbox.append(Post("head", pack((share + noise.round().long()) >> scale_bits, RING)))
        return torch.empty(0)


class HeadDataOwner:
    """D.

    Args:
        share_DC: its share of W.
        rows_ND: float64, as `with_constant` makes them: as many as the plan's batches take.

    Raises:
        DataError: a feature is so large that its integer leaves the ring.
    """

    def __init__(self, plan: AskingPlan, share_DC: torch.Tensor, rows_ND: torch.Tensor, *, side: AskingSide) -> None:
        rows = (rows_ND * (1 << FEATURE_BITS)).round()
        if not bool((rows.abs() < 1 << (RING - 1)).all()):
            raise DataError("a feature is too large for the joint head; standardise the features")
        self._plan, self._share, self._side = plan, share_DC, side
        self._chunks = torch.split(rows.long(), list(plan.batches)) if plan.batches else ()
        self.outbox: list[Post] = []

    def run(self) -> Script:
        """Returns what is opened, (N, C) float64 in units of the targets; differences less their mean over outputs."""
        plan, side = self._plan, self._side
        answers = [torch.empty(0, plan.outputs, dtype=torch.float64)]
        handed: torch.Tensor | None = None
        for rows_ND in self._chunks:
            self.outbox.append(Post("head", side.asked(rows_ND)))
            if handed is None:
                handed = yield Want("head", side.handed_bytes(plan))
            own = (side.share_of_D(rows_ND, handed) >> side.scale_bits) + rows_ND @ self._share
            opened = own + (yield from self._take_answer(own.shape))
            answers.append(self._in_units(opened))
        return torch.cat(answers)

    def _in_units(self, opened_NC: torch.Tensor) -> torch.Tensor:
        if self._plan.opening == "values":
            return signed(opened_NC, RING).double() / (1 << OUTPUT_BITS)
        differences = signed(opened_NC - opened_NC[:, :1], RING).double() / (1 << OUTPUT_BITS)
        return differences - differences.mean(dim=1, keepdim=True)

    def _take_answer(self, shape: tuple[int, ...]) -> Generator[Want, torch.Tensor, torch.Tensor]:
        count = math.prod(shape)
        return unpack((yield Want("head", packed_bytes(count, RING))), count, RING).view(shape)
