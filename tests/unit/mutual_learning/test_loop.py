"""The algorithm, with a dictionary as its peer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from learners import CLASSES, learner
from torch import nn

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.far_answers import without_far_answers
from smule_crypten.mutual_learning.loop import MutualLearning
from smule_crypten.mutual_learning.observer import Phase, Silent
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.tasks.regression import Regression
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult
from smule_crypten.types import Cost, Disclosure, PeerPrediction

REGRESSION = Regression()


class DictionaryPeer:
    """Knows the answer to every sample by its id, and notes what is done with it."""

    def __init__(self, logits_by_id: dict[int, torch.Tensor]) -> None:
        self._logits_by_id = logits_by_id
        self.asked: list[list[int]] = []
        self.answering: list[tuple[str, int]] = []
        self.done: list[str] = []

    @property
    def next_number(self) -> int:
        return len(self.asked) + 1

    def prepare(self, num_samples: int) -> None:
        self.done.append(f"prepare {num_samples}")

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Any = None) -> None:
        self.asked.append(question.sample_ids.tolist())
        self.answering.append((answering.name, answering.model_step))
        self.done.append("ask")

    def answers(self) -> Answers:
        self.done.append("answers")
        ids = self.asked[-1]
        number = len(self.asked)
        return Answers(
            prediction=PeerPrediction(
                query_id=number,
                sample_ids=torch.tensor(ids),
                logits_NC=torch.stack([self._logits_by_id[sample_id] for sample_id in ids]),
                model_step=7,
                scheme="dictionary",
                cost=Cost(),
            ),
            disclosure=Disclosure(query_id=number, to_party="b", num_samples=0, model_step=0),
            num_asked=len(ids),
            num_dropped=0,
            logit_noise=0.0,
            cost=Cost(),
        )

    def check(self) -> None:
        self.done.append("step")

    def state_dict(self) -> dict[str, Any]:
        return {"asked": list(self.asked)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = list(state["asked"])


class Notes(Silent):
    """Notes the order of what is told, and keeps the states of all moments of which `reached` tells."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.losses: list[float] = []
        self.states: list[dict[str, Any]] = []
        self.loop: MutualLearning | None = None

    def epoch(self, phase: Phase, result: EpochResult, test_accuracy: float) -> None:
        self.events.append(f"{phase} {result.epoch}")
        self.losses.append(result.loss)

    def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None:
        self.events.append(f"exchange {answers.prediction.query_id} at {epoch}")

    def message(self, text: str) -> None:
        self.events.append(text)

    def kept(self, phase: Phase, network: nn.Module, model_step: int) -> None:
        self.events.append(f"kept {phase}")

    def reached(self) -> None:
        self.events.append("reached")
        assert self.loop is not None
        self.states.append(self.loop.state_dict())


def right_answers(party: Learner, shift: int = 0) -> dict[int, torch.Tensor]:
    everything = party.holding.candidates
    logits_NC = 4.0 * torch.eye(CLASSES)[(everything.targets + shift) % CLASSES]
    return dict(zip(everything.sample_ids.tolist(), logits_NC, strict=True))


def begun(peer: DictionaryPeer, notes: Notes, party: Learner, **terms: Any) -> MutualLearning:
    exchange = ExchangeConfig.model_validate({"warmup_epochs": 1, "every": 2} | terms)
    notes.loop = MutualLearning(party, exchange, peer, num_queries=20, observer=notes)
    return notes.loop


def finish(loop: MutualLearning) -> int:
    """How often it yielded."""
    return sum(1 for _ in loop.run())


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_order_of_the_algorithm() -> None:
    """Alone first; then at each due epoch ask, answers, and an epoch; the next exchange is prepared before that, and
    nothing is prepared after the last one. A state is reached after each epoch alone and around each exchange.
    """
    peer, notes = DictionaryPeer(right_answers(learner())), Notes()
    assert finish(begun(peer, notes, learner())) == 2
    alone = [text for epoch in range(1, 5) for text in (f"standalone {epoch}", "reached")]
    assert notes.events == [
        *alone,
        "kept standalone",
        "smule 1",
        "reached",
        "exchange 1 at 2",
        "reached",
        "smule 2",
        "smule 3",
        "exchange 2 at 4",
        "reached",
        "smule 4",
        "kept smule",
    ]
    calls = [call for call in peer.done if call != "step"]
    assert calls == ["prepare 20", "ask", "answers", "prepare 20", "ask", "answers"]
    assert peer.done.count("step") == 2 * 4 * 3


def test_it_yields_between_asking_and_reading() -> None:
    """Two parties in one process ask both before either reads."""
    peer = DictionaryPeer(right_answers(learner()))
    course = begun(peer, Notes(), learner()).run()
    next(course)
    assert peer.done[-1] == "ask"
    next(course)
    assert peer.done.count("answers") == 1
    assert next(course, "the end") == "the end"


def test_the_best_network_so_far_answers() -> None:
    """First the best one trained alone, with training.keep=last the last one; never the one in training while there is
    a finished one. Without training alone it is the best epoch of mutual learning.
    """
    peers = {}
    for name, training in {"best": {}, "last": {"keep": "last"}, "fresh": {"standalone": False}}.items():
        peers[name] = DictionaryPeer(right_answers(learner()))
        finish(begun(peers[name], Notes(), learner(**training), warmup_epochs=int(name == "fresh"), every=3))
    assert peers["best"].answering[0][0].startswith("alone, epoch ")
    assert peers["last"].answering == [("alone", 12), ("alone", 12)]
    assert peers["fresh"].answering[0] == ("smule, epoch 1", 3)


def test_answers_teach() -> None:
    """With a peer that is always right the network differs from one that hears nothing, and knows the test samples."""
    taught, ignored = (
        begun(DictionaryPeer(right_answers(learner())), Notes(), learner(distillation_weight=weight))
        for weight in (5.0, 0.0)
    )
    finish(taught), finish(ignored)
    assert not same(taught.network, ignored.network)
    assert taught.accuracy > 0.8


def test_the_best_network_is_put_back() -> None:
    """What is kept at the end is what the validation part found best, and the accuracy is its."""
    party = learner(keep="best")
    loop = begun(DictionaryPeer(right_answers(party, shift=1)), Notes(), party)
    finish(loop)
    twin = party.network()
    loop.best.restore(twin)
    assert same(loop.network, twin)
    assert loop.tested == party.test(twin)


def test_what_was_trained_alone_before_is_not_trained_again() -> None:
    """A comparison trains alone once, and goes on from there as a run that did both."""
    whole = begun(DictionaryPeer(right_answers(learner())), Notes(), learner())
    finish(whole)
    loop = MutualLearning(
        learner(),
        ExchangeConfig(warmup_epochs=1, every=2),
        DictionaryPeer(right_answers(learner())),
        num_queries=20,
        alone=whole.alone,
    )
    finish(loop)
    assert same(loop.network, whole.network)
    assert loop.best.name == whole.best.name


def test_an_alarm_is_told_and_quarantined() -> None:
    """Answers of other classes are dropped before anything is learned from them: the network is as it is alone."""
    party = learner(alarm="quarantine", distillation_weight=5.0, keep="last", epochs=6)
    notes = Notes()
    loop = begun(DictionaryPeer(right_answers(party, shift=1)), notes, party, every=1)
    finish(loop)
    assert any("its answers are dropped" in event for event in notes.events)
    assert all(event.startswith("party a, exchange ") for event in notes.events if "dropped" in event)
    assert loop.watchman.alarms


@pytest.mark.parametrize("number", range(7))
def test_from_each_state_it_comes_to_the_same_end(number: int) -> None:
    """States 0 to 3 are of the training alone, 4 is before the first exchange, 5 and 6 are after an exchange."""
    undisturbed, notes = DictionaryPeer(right_answers(learner())), Notes()
    whole = begun(undisturbed, notes, learner())
    finish(whole)
    assert len(notes.states) == 7
    peer, again = DictionaryPeer(right_answers(learner())), Notes()
    resumed = begun(peer, again, learner())
    resumed.load_state_dict(notes.states[number])
    finish(resumed)
    assert peer.asked == undisturbed.asked
    assert again.losses == notes.losses[len(notes.losses) - len(again.losses) :]
    assert len(again.losses) == {4: 3, 5: 3, 6: 1}.get(number, 7 - number)
    assert same(resumed.network, whole.network)
    assert (resumed.accuracy, resumed.best.name) == (whole.accuracy, whole.best.name)
    assert resumed.alone is not None
    assert whole.alone is not None
    assert (resumed.alone.accuracy, resumed.alone.model_step) == (whole.alone.accuracy, whole.alone.model_step)
    assert same(resumed.alone.model, whole.alone.model)


@pytest.mark.parametrize("private", [False, True])
def test_values_far_from_the_own_targets_are_dropped(private: bool) -> None:
    """A peer within its own bound may still answer anything in regression. Such answers teach nothing and are counted;
    under training.dp, which of them are dropped follows from held-out samples alone.
    """
    party, numbers = learner(), torch.linspace(-1, 1, 48)[:, None]
    holding = dataclasses.replace(
        party.holding,
        train=dataclasses.replace(party.holding.train, targets=numbers),
        validation=dataclasses.replace(party.holding.validation, targets=torch.linspace(-0.1, 0.1, 12)[:, None]),
    )
    ids = holding.train.sample_ids[:4].tolist()
    peer = DictionaryPeer(dict(zip(ids, torch.tensor([[2.9], [60.0], [-1.0], [-3.1]]), strict=True)))
    peer.asked = [ids]
    found = without_far_answers(peer.answers(), REGRESSION, holding, private=private)
    assert found.prediction.sample_ids.tolist() == ([ids[2]] if private else [ids[0], ids[2]])
    assert found.num_dropped == (3 if private else 2)
    assert len(found.prediction.logits_NC) == len(found.prediction.sample_ids)


def test_what_is_dropped_is_neither_learned_nor_hidden() -> None:
    """The loop itself leaves such answers out of what it keeps, and reports their number."""
    party = learner()
    holding = dataclasses.replace(
        party.holding,
        **{
            part: dataclasses.replace(samples, targets=samples.inputs.flatten(1)[:, :1])
            for part in ("train", "validation", "test")
            for samples in [getattr(party.holding, part)]
        },
    )
    party = dataclasses.replace(
        party,
        holding=holding,
        task=REGRESSION,
        num_classes=1,
        build=lambda copy: nn.Sequential(nn.Flatten(), nn.Linear(4, 1)),
    )
    wild = {sample_id: torch.tensor([60.0]) for sample_id in holding.candidates.sample_ids.tolist()}
    dropped: list[int] = []

    class Counting(Notes):
        def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None:
            dropped.append(answers.num_dropped)

    loop = begun(DictionaryPeer(wild), Counting(), party)
    finish(loop)
    assert dropped == [20, 20]
    assert loop._cache.lookup(holding.candidates.sample_ids) is None
