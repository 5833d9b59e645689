"""Questions whose samples are public: answered in the clear, to the asker alone.

Both parties have the same pool of samples (its digest is compared in the handshake). In exchange i:

1. What both parties contributed decides the order of the pool, the same in the whole run, and exchange i asks about its
   i-th part: none is asked about twice, and an exchange that is attempted again asks about the same ones.
2. Each charges what the other one asks to its budget.
3. Each evaluates the network that answers secure questions, too, on what the other one asks, in plain PyTorch, adds
   noise (0.01 at least, and disclosure.logit_noise), and sends what its opening opens: float32, one message each way.
4. Each drops answers that cannot be right.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers, ForwardingPeer, Peer, PublicAnswers
from smule_crypten.mutual_learning.plain_answers import plain_logits
from smule_crypten.mutual_learning.schedule import PublicSchedule
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, LogitOpening, opened_logits

ORDER = "order of public questions"
"""What the key of both parties is for."""


def order_of(key: bytes, pool_size: int) -> torch.Tensor:
    """The order of the pool (int64) that follows from 32 bytes."""
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1)
    return torch.randperm(pool_size, generator=generator)


class PublicLink(Protocol):
    """The way on which public questions are agreed on and answered.

    Every method may raise SmuleError: the other party says something else, or is gone; or the budget is spent.
    """

    def agree(self, exchange: int) -> bytes:
        """What both parties contribute, 32 bytes, the same at both and in the whole run."""
        ...

    def charge(self, disclosure: Disclosure, network: nn.Module) -> None:
        """Enter answers of the network that are about to be computed."""
        ...

    def conceal(self, logits_NC: torch.Tensor, exchange: int) -> torch.Tensor:
        """Logits as their owner lets them be opened."""
        ...

    def give(self, logits_NC: torch.Tensor) -> None:
        """Lay down what the other party will be answered, float32."""
        ...

    def take(self, count: int, num_classes: int) -> tuple[torch.Tensor, Cost]:
        """The other one's answers (count, num_classes), and the cost of agreeing and of both directions."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class PublicPeer(ForwardingPeer):
    """A Peer that is asked about public samples, too.

    Args:
        peer: for all other questions.
        pool: the public samples.
        schedule: how many when.
        opening: what is opened of answers, as of all others.
    """

    def __init__(
        self, peer: Peer, link: PublicLink, pool: Samples, schedule: PublicSchedule, rank: int, opening: LogitOpening
    ) -> None:
        super().__init__(peer)
        self._link, self._pool, self._schedule = link, pool, schedule
        self._rank, self._opening = rank, opening
        self._order = torch.empty(0, dtype=torch.int64)
        self._asked: tuple[Samples, Disclosure] | None = None

    def prepare(self, num_samples: int) -> None:
        # Before anything is worked on ahead: words wait until all of that is done.
        self._order = order_of(self._link.agree(self.next_number), len(self._pool))
        super().prepare(num_samples)

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        number = self.next_number
        super().ask(question, answering, losses)
        own, theirs = self._part(number, self._rank), self._part(number, 1 - self._rank)
        disclosure = Disclosure(
            query_id=number,
            to_party=PARTY_NAMES[1 - self._rank],
            num_samples=len(theirs),
            model_step=answering.model_step,
        )
        self._link.charge(disclosure, answering.model)
        logits_NC = self._link.conceal(plain_logits(answering.model, theirs.inputs), number)
        self._link.give(opened_logits(logits_NC, self._opening).float().contiguous())
        self._asked = own, disclosure

    def answers(self) -> Answers:
        answers = super().answers()
        assert self._asked is not None, "ask comes first"
        (own, disclosure), self._asked = self._asked, None
        logits_NC, cost = self._link.take(len(own), answers.prediction.logits_NC.shape[1])
        # Not a number is not within a bound either.
        kept_N = (logits_NC.abs() <= answers.logit_bound).all(1)
        public = PublicAnswers(
            sample_ids=own.sample_ids[kept_N], logits_NC=logits_NC[kept_N], num_asked=len(own), disclosure=disclosure
        )
        return dataclasses.replace(answers, public=public, cost=answers.cost + cost)

    def state_dict(self) -> dict[str, Any]:
        return {"peer": super().state_dict(), "public": self._link.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state["peer"])
        self._link.load_state_dict(state["public"])

    def _part(self, exchange: int, rank: int) -> Samples:
        return self._pool.select(self._order[self._schedule.asked(exchange, rank)])
