"""Both parties in one process, in the clear: what a perfect scheme would teach. Protects nothing.

Each party's network is evaluated on the other one's samples, exactly as scheme=plaintext does. Costs are those of
whatever scheme is named, by its cost_of and with the most that can go ahead of an exchange; what the parties would
announce to each other is left out (some 1,000 bytes per exchange), and what a run costs once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.errors import ProtocolError
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.mutual_learning.plain_answers import plain_logits
from smule_crypten.mutual_learning.planner import Prices
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, LogitOpening, PeerPrediction, opened_logits

Option = Callable[[torch.Tensor], torch.Tensor]
"""What an owner does to its answers before the other party sees them: logits (N, C) to logits."""
Waiting = deque[torch.Tensor]


@dataclass
class _Table:
    """Where both lay down what they ask and what answers, and find what was answered."""

    prices: Prices
    option: Option
    opening: LogitOpening
    asked: list[tuple[Samples, AnsweringNetwork] | None] = field(default_factory=lambda: [None, None])
    losses: list[tuple[float, ...] | None] = field(default_factory=lambda: [None, None])
    answers: list[Answers | None] = field(default_factory=lambda: [None, None])
    number: int = 0


class InProcessPeer:
    """A Peer that is another object of this process; `in_process_peers` makes two."""

    def __init__(self, table: _Table, rank: int) -> None:
        self._table = table
        self._rank = rank

    @property
    def next_number(self) -> int:
        return self._table.number + 1

    def prepare(self, num_samples: int) -> None:
        """Nothing needs preparing."""

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        self._table.asked[self._rank] = question.in_memory(), answering
        self._table.losses[self._rank] = None if losses is None else tuple(losses)

    def answers(self) -> Answers:
        """Both directions are computed when the first of both reads, before anybody learns from them.

        Raises:
            ProtocolError: the other party has not asked yet.
        """
        table = self._table
        if table.answers[self._rank] is None:
            _exchange(table)
        answers, table.answers[self._rank] = table.answers[self._rank], None
        assert answers is not None
        return answers

    def check(self) -> None:
        """Nobody can be gone."""

    def state_dict(self) -> dict[str, Any]:
        return {"number": self._table.number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._table.number = state["number"]


def in_process_peers(
    prices: Prices, option: Option = lambda logits_NC: logits_NC, *, opening: LogitOpening = "differences"
) -> tuple[InProcessPeer, InProcessPeer]:
    """The peers of party a and of party b, which must run in step (loop.py).

    Args:
        option: what either owner does to its answers, before they are opened.
        opening: what is opened of them.
    """
    table = _Table(prices, option, opening)
    return InProcessPeer(table, 0), InProcessPeer(table, 1)


class InProcessLink:
    """A PublicLink between these two, who agreed on key.

    answered: what is laid down for each rank, in order; one party may be an exchange ahead when the other one takes it.
    """

    def __init__(
        self, prices: Prices, option: Option, key: bytes, rank: int, answered: tuple[Waiting, Waiting]
    ) -> None:
        self._prices, self._option, self._key, self._rank = prices, option, key, rank
        self._answered = answered
        self._num_given = 0

    def agree(self, exchange: int) -> bytes:
        return self._key

    def charge(self, disclosure: Disclosure, network: nn.Module) -> None:
        """Nobody counts here."""

    def conceal(self, logits_NC: torch.Tensor, exchange: int) -> torch.Tensor:
        return self._option(logits_NC)

    def give(self, logits_NC: torch.Tensor) -> None:
        self._answered[1 - self._rank].append(logits_NC)
        self._num_given = len(logits_NC)

    def take(self, count: int, num_classes: int) -> tuple[torch.Tensor, Cost]:
        asked, answered = count, self._num_given
        cost = self._prices.public_cost(self._rank, (asked, answered) if self._rank == 0 else (answered, asked))
        return self._answered[self._rank].popleft(), cost

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Both have all that there is."""


def _exchange(table: _Table) -> None:
    first, second = table.asked
    if first is None or second is None:
        raise ProtocolError("one party reads before the other one has asked; run both in step, as loop.py says")
    table.number += 1
    table.asked = [None, None]
    counts = len(first[0]), len(second[0])
    for rank, ((question, answering), (_, peers)) in enumerate(((first, second), (second, first))):
        cost = table.prices.cost(rank, counts)
        prediction = PeerPrediction(
            query_id=table.number,
            sample_ids=question.sample_ids,
            logits_NC=opened_logits(table.option(plain_logits(peers.model, question.inputs)), table.opening),
            model_step=peers.model_step,
            scheme=table.prices.scheme.name,
            cost=cost,
        )
        disclosure = Disclosure(
            query_id=table.number,
            to_party=PARTY_NAMES[1 - rank],
            num_samples=counts[1 - rank],
            model_step=answering.model_step,
        )
        table.answers[rank] = Answers(
            prediction=prediction,
            disclosure=disclosure,
            num_asked=counts[rank],
            num_dropped=0,
            logit_noise=0.0,
            cost=cost,
            peer_losses=table.losses[1 - rank],
        )
