"""What a party learns with: somebody who is asked, and who asks in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from smule_crypten.data.samples import Samples
from smule_crypten.types import Cost, Disclosure, PeerPrediction


@dataclass(frozen=True)
class AnsweringNetwork:
    """The network that answers the peer; name and model_step, the optimizer steps behind it, say which one it is."""

    model: nn.Module
    model_step: int
    name: str


@dataclass(frozen=True, kw_only=True)
class PublicAnswers:
    """Those of an exchange that are about public samples: ids (N,) and logits (N, C) that are kept, of num_asked.

    disclosure is what this party answered about such samples.
    """

    sample_ids: torch.Tensor
    logits_NC: torch.Tensor
    num_asked: int
    disclosure: Disclosure

    @property
    def num_dropped(self) -> int:
        """Answers that cannot be right."""
        return self.num_asked - len(self.sample_ids)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What came of one exchange. prediction holds the answers that are kept.

    num_asked were asked about, of which num_dropped got an answer that cannot be right. disclosure is what this party
    answered, with second answers, and logit_noise the standard deviation of the noise on these. cost is everything that
    the exchange took, from its preparation on. logit_bound: beyond it an answer of the peer cannot be right. public:
    what is apart from all that, but for its cost; None where no question is public. peer_losses: what the peer tells of
    its three teachers; None without a joint head.
    """

    prediction: PeerPrediction
    disclosure: Disclosure
    num_asked: int
    num_dropped: int
    logit_noise: float
    cost: Cost
    logit_bound: float = math.inf
    public: PublicAnswers | None = None
    peer_losses: tuple[float, ...] | None = None

    @property
    def learned_from(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and logits of all answers that are kept."""
        told, public = self.prediction, self.public
        if public is None:
            return told.sample_ids, told.logits_NC
        return torch.cat([told.sample_ids, public.sample_ids]), torch.cat([told.logits_NC, public.logits_NC])


class Peer(Protocol):
    """The other party, as the loop sees it. Both parties ask at the same epochs; each asks before it reads."""

    @property
    def next_number(self) -> int:
        """Of the exchange to come, counted from 1."""
        ...

    def prepare(self, num_samples: int) -> None:
        """Say ahead of time how many samples the next question will have, so that it can be prepared for.

        Raises:
            SmuleError: as `ask`.
        """
        ...

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        """Ask about the inputs of question, which stay here, and let answering answer what the peer asks.

        losses: what is told of three teachers (training/three_teachers.py); None where there is no joint head.

        Raises:
            SmuleError: the peer asks for more than it may, or is gone; values do not fit the scheme.
        """
        ...

    def answers(self) -> Answers:
        """What the peer answers to the question that was asked last.

        Raises:
            SmuleError: the answers cannot be right, or the peer is gone.
        """
        ...

    def check(self) -> None:
        """Raises PeerError where the peer is gone; called after each optimizer step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Between two exchanges."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ForwardingPeer:
    """A Peer that hands everything on to another one; for those that change a part of it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def next_number(self) -> int:
        return self._peer.next_number

    def prepare(self, num_samples: int) -> None:
        self._peer.prepare(num_samples)

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        self._peer.ask(question, answering, losses)

    def answers(self) -> Answers:
        return self._peer.answers()

    def check(self) -> None:
        self._peer.check()

    def state_dict(self) -> dict[str, Any]:
        return self._peer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._peer.load_state_dict(state)
