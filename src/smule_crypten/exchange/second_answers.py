"""Which answers of an exchange are asked for again, and what the second ones must show.

Again asked are answers that cannot be right: not finite, or beyond the bound that the model owner states (a truncation
that wrapped around the ring). And those of a spot check (spot_check.py).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.exchange.spot_check import draw_subset
from smule_crypten.types import PeerPrediction


@dataclass(frozen=True, kw_only=True)
class SecondAnswers:
    """Of one exchange. implausible_N and checked_N, bool, say which of the first answers are asked for again."""

    first: PeerPrediction
    logit_bound: float
    implausible_N: torch.Tensor
    checked_N: torch.Tensor

    @classmethod
    def needed(cls, first: PeerPrediction, logit_bound: float, num_checks: int) -> SecondAnswers:
        """Draws the spot check; logit_bound is what the model owner states."""
        implausible_N = _beyond(first, logit_bound)
        checked_N = draw_subset(len(first.logits_NC), num_checks) & ~implausible_N
        return cls(first=first, logit_bound=logit_bound, implausible_N=implausible_N, checked_N=checked_N)

    @property
    def asked_N(self) -> torch.Tensor:
        return self.implausible_N | self.checked_N

    @property
    def num_asked(self) -> int:
        return int(self.asked_N.sum())

    @property
    def num_implausible(self) -> int:
        return int(self.implausible_N.sum())

    def settled(self, again: PeerPrediction, *, peer: str, tolerance: float) -> PeerPrediction:
        """All answers, those in `again` (of the samples of asked_N, in their order) in place of the first ones.

        Raises:
            ProtocolError: party `peer` gave implausible ones again, or a checked one differs from before by more than
                tolerance.
        """
        if bool(_beyond(again, self.logit_bound).any()):
            raise ProtocolError(
                f"party {peer} answers with logits beyond its stated bound of {self.logit_bound:g}, again after "
                "recomputation; its layers leave the fixed-point range on this data: lower scheme.precision_bits"
            )
        logits_NC = self.first.logits_NC.clone()
        logits_NC[self.asked_N] = again.logits_NC
        self._compare(logits_NC[self.checked_N], peer, tolerance)
        return dataclasses.replace(self.first, logits_NC=logits_NC, cost=self.first.cost + again.cost)

    def _compare(self, second_NC: torch.Tensor, peer: str, tolerance: float) -> None:
        first_NC = self.first.logits_NC[self.checked_N]
        difference_N = (first_NC - second_NC).abs().amax(1) if len(first_NC) else torch.zeros(0)
        wrong = int((difference_N > tolerance).sum())
        if wrong:
            raise ProtocolError(
                f"spot check of exchange {self.first.query_id}: {wrong} of {len(first_NC)} answers of party {peer} "
                f"differ when asked again, by up to {float(difference_N.max()):.2g} (tolerance {tolerance:g}); its "
                "side, this one or the dealer deviates from the protocol"
            )


def _beyond(prediction: PeerPrediction, logit_bound: float) -> torch.Tensor:
    """Which answers (N,) cannot be right."""
    return ~(prediction.logits_NC.abs() <= logit_bound).all(1)
