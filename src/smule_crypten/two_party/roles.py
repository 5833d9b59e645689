"""What the two roles of a direction do in the same way: M owns the weights, D the inputs.

1. M -> D, once for all micro-batches: the scale of the output, and c1 of each product (lattice/weights.py).
For each micro-batch:
2. D -> M, before its images are looked at: p, and b where there is no pixel (lattice/handover.py); for each opening the
   choices of digits and the correction of the selection (comparison/relu.py).
3. D -> M, for each value that is multiplied: b. Both then have shares of the product.
4. For each opening, both round their shares without a message (lattice/truncation.py); where D's share was not known at
   2, D sends it under a mask (comparison/remask.py); then the ReLU.
5. M -> D: its share of the logits, with an offset in common and fresh noise on each; ring + t bits. Nothing else is
   opened.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import Self, TypeVar

import numpy as np
import torch

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Opening, Step
from smule_crypten.fixed_point.role import RoleEvaluator
from smule_crypten.fixed_point.wire import Want
from smule_crypten.oblivious import script
from smule_crypten.oblivious.cots import Fields
from smule_crypten.two_party.plan import Activation, DirectionPlan

Result = TypeVar("Result")
Ready = TypeVar("Ready")


class ShareEvaluator(RoleEvaluator):
    """One of the two.

    preparation_seconds: time spent on what does not depend on the inputs.
    """

    def __init__(self, plan: DirectionPlan) -> None:
        super().__init__(plan.program, torch.device("cpu"))
        self._plan = plan
        self._products: dict[str, Share] = {}
        self._leg = slice(None)
        self.preparation_seconds = 0.0

    def over(self, leg: range) -> Self:
        """The same role, whose next run goes over these micro-batches alone. Legs follow each other, from the first."""
        self._leg = slice(leg.start, leg.stop)
        return self

    def _below(self, position: int) -> int:
        return self._plan.below[position]

    def _product(self, position: int, step: Step, share: Share) -> Share:
        return self._products.pop(step.name)

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        """Round the fraction away, then max(v, -offset): a function of the value alone, whatever its size."""
        activation = self._next_activation()
        offset = self._public(opening.offset)
        share = share.reshape(-1) + (offset << (opening.fraction + activation.below))
        result = yield from self._rectified(activation, share)
        return result - (offset << activation.guard_bits)

    @abstractmethod
    def _next_activation(self) -> Activation:
        """In the order of the plan."""

    @abstractmethod
    def _rectified(self, activation: Activation, share: Share) -> Talk:
        """Step 4: shares (n,) modulo 2^(ring + guard_bits) of max(v, 0)."""

    def _talk(self, step: Step, talk: script.Script[Result]) -> Generator[Want, torch.Tensor, Result]:
        """Put the messages of a script on this role's wire."""
        answer = None
        while True:
            try:
                said = talk.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer = None
            if isinstance(said, script.Send):
                self._post(step, torch.from_numpy(said.data))
            elif isinstance(said, script.Want):
                answer = (yield from self._take(step, said.num_bytes)).numpy()


def fields_of(share: Share) -> Fields:
    """A share as the integers of comparison/."""
    fields: Fields = share.reshape(-1).numpy().view(np.uint64)
    return fields


def share_of(fields: Fields) -> Share:
    return torch.from_numpy(fields.view(np.int64))
