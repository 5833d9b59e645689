"""What a party makes of the losses that its peer tells with each exchange, and what it tells itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from learners import CLASSES, learner, samples

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.sections import AlarmName
from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.loop import MutualLearning
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Learner
from smule_crypten.training.three_teachers import LARGEST_LOSS, WEIGHTS
from smule_crypten.types import Cost, Disclosure, PeerPrediction

HELD_OUT = 60
TURNS_AT = 3
AIM = [0.0, 1.0, 0.0]
"""What a lie is to make of this party's weights: the peer alone."""
AS_TOLD = [AIM[1], AIM[0], AIM[2]]
"""The same point as the peer sees it."""
LIE = tuple(0.0 if point == AS_TOLD else LARGEST_LOSS for point in WEIGHTS.tolist())
HONEST = tuple(LARGEST_LOSS * (1 - head) / 2 for head in WEIGHTS[:, 2].tolist())
"""The head alone is the best of its teachers."""


class Turncoat:
    """Answers right and tells what is honest, until it answers with other classes and lies."""

    def __init__(self, party: Learner, turns_at: int) -> None:
        everything = party.holding.candidates
        self._targets = dict(zip(everything.sample_ids.tolist(), everything.targets.tolist(), strict=True))
        self._turns_at, self._asked, self._number = turns_at, torch.empty(0, dtype=torch.int64), 0
        self.told: list[list[float] | None] = []

    @property
    def next_number(self) -> int:
        return self._number + 1

    def prepare(self, num_samples: int) -> None: ...

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Any = None) -> None:
        self._asked, self._number = question.sample_ids, self._number + 1
        self.told.append(losses)

    def answers(self) -> Answers:
        has_turned, count = self._number >= self._turns_at, len(self._asked)
        classes = torch.tensor([(self._targets[number] + has_turned) % CLASSES for number in self._asked.tolist()])
        return Answers(
            prediction=PeerPrediction(
                query_id=self._number,
                sample_ids=self._asked,
                logits_NC=4.0 * torch.eye(CLASSES)[classes],
                model_step=self._number,
                scheme="turncoat",
                cost=Cost(),
            ),
            disclosure=Disclosure(query_id=self._number, to_party="b", num_samples=0, model_step=0),
            num_asked=count,
            num_dropped=0,
            logit_noise=0.0,
            cost=Cost(),
            peer_losses=LIE if has_turned else HONEST,
        )

    def check(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def party_of(mode: AlarmName) -> Learner:
    """With held-out samples enough to tell losses of them."""
    party = learner(alarm=mode, epochs=TURNS_AT)
    held = dataclasses.replace(party.holding, validation=samples(HELD_OUT, 100, seed=10))
    return dataclasses.replace(party, holding=held)


def head_of(party: Learner) -> OwnAnswers:
    """Right, and unsure: own losses say little of any point."""
    everything = party.holding.candidates
    return OwnAnswers(everything.sample_ids, torch.eye(CLASSES)[everything.targets])


def finished(mode: AlarmName, turns_at: int) -> tuple[MutualLearning, Turncoat]:
    party = party_of(mode)
    peer = Turncoat(party, turns_at)
    exchange = ExchangeConfig(warmup_epochs=0, every=1)
    loop = MutualLearning(party, exchange, peer, num_queries=None, head=head_of(party))
    for _ in loop.run():
        pass
    return loop, peer


def weights(loop: MutualLearning) -> list[float]:
    assert loop._trainer is not None
    assert loop._trainer.teacher is not None
    found = loop._trainer.teacher.weights
    assert found is not None
    return list(found)


@pytest.mark.parametrize("mode", ["quarantine", "report"])
def test_losses_go_with_the_answers(mode: AlarmName) -> None:
    """Of an exchange whose answers are dropped nothing is heard, so that the teachers keep the weights that they had;
    where nothing is dropped, the lie picks them."""
    honest, _ = finished(mode, turns_at=TURNS_AT + 1)
    assert not honest.watchman.alarms
    loop, peer = finished(mode, turns_at=TURNS_AT)
    assert [0 if told is None else len(told) for told in peer.told] == [0, len(WEIGHTS), len(WEIGHTS)]
    assert [alarm["suspects"] for alarm in loop.watchman.alarms] == [[TURNS_AT]] * len(loop.watchman.alarms)
    assert loop.watchman.alarms
    assert weights(honest) != AIM
    assert weights(honest) != [0.25, 0.25, 0.5], "nothing was heard at all"
    assert weights(loop) == (weights(honest) if mode == "quarantine" else AIM)


def test_a_head_that_is_left_out_is_told_nothing_of() -> None:
    """The peer waits for losses, and gets none; what it tells is not heard, the best network is kept, and nothing
    teaches but what would without a head."""
    party = party_of("report")
    loops = []
    for head in (OwnAnswers(torch.empty(0, dtype=torch.int64), torch.empty(0, CLASSES)), None):
        peer = Turncoat(party, TURNS_AT + 1)
        loop = MutualLearning(party, ExchangeConfig(warmup_epochs=0, every=1), peer, num_queries=None, head=head)
        for _ in loop.run():
            pass
        assert peer.told == [None if head is None else []] * TURNS_AT
        loops.append(loop)
    assert loops[0].best.name == loops[1].best.name != ""
    for one, other in zip(*(loop.network.parameters() for loop in loops), strict=True):
        assert torch.equal(one, other)
