"""Questions about public samples: which, in which order, how answers are kept, concealed and charged."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from learners import CLASSES, learner, network, samples

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import BudgetError, ProtocolError
from smule_crypten.mpc.streams import Stream
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.mutual_learning.far_answers import without_far_answers
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.mutual_learning.public_link import PublicSecrets, SessionLink
from smule_crypten.mutual_learning.public_questions import PublicPeer, order_of
from smule_crypten.mutual_learning.schedule import PublicPlan, PublicSchedule
from smule_crypten.tasks.regression import Regression
from smule_crypten.training.controls import local_control
from smule_crypten.transport.meter import CostMeter
from smule_crypten.types import Cost, Disclosure, PeerPrediction

POOL = samples(10, 1 << 40, seed=3).without_labels()
OWN, THEIRS, NOISE = (bytes([number]) * 32 for number in (1, 2, 3))
SAID = THEIRS.hex()


class OtherPeer:
    """Who answers one secure question with nothing; says what it was asked with."""

    def __init__(self, bound: float = 100.0) -> None:
        self.next_number, self._bound = 1, bound

    def prepare(self, num_samples: int) -> None: ...

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Any = None) -> None:
        self.next_number += 1

    def answers(self) -> Answers:
        told = PeerPrediction(
            query_id=self.next_number - 1,
            sample_ids=torch.empty(0, dtype=torch.int64),
            logits_NC=torch.empty(0, CLASSES),
            model_step=4,
            scheme="none",
            cost=Cost(),
        )
        gave = Disclosure(query_id=told.query_id, to_party="b", num_samples=0, model_step=4)
        return Answers(
            prediction=told,
            disclosure=gave,
            num_asked=0,
            num_dropped=0,
            logit_noise=0.0,
            cost=Cost(rounds=3),
            logit_bound=self._bound,
        )


class Link:
    """Keeps what is given, and answers with ones but for what a test wants."""

    def __init__(self, says: torch.Tensor | None = None) -> None:
        self.given: list[torch.Tensor] = []
        self.charged: list[Disclosure] = []
        self.says = says

    def agree(self, exchange: int) -> bytes:
        return b"both"

    def charge(self, disclosure: Disclosure, network: Any) -> None:
        self.charged.append(disclosure)

    def conceal(self, logits_NC: torch.Tensor, exchange: int) -> torch.Tensor:
        return logits_NC + 7.0

    def give(self, logits_NC: torch.Tensor) -> None:
        assert self.charged, "charged before anything is computed"
        self.given.append(logits_NC)

    def take(self, count: int, num_classes: int) -> tuple[torch.Tensor, Cost]:
        return torch.ones(count, num_classes) if self.says is None else self.says, Cost(rounds=1)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def public_peer(link: Any, opening: Any = "differences", bound: float = 100.0) -> PublicPeer:
    other: Any = OtherPeer(bound)
    return PublicPeer(other, link, POOL, PublicSchedule(pool_size=len(POOL), counts=(4, 3)), 0, opening)


def ask(peer: PublicPeer, model: torch.nn.Module) -> Answers:
    peer.prepare(0)
    peer.ask(POOL.select(torch.arange(0)), AnsweringNetwork(model, 9, "kept"))
    return peer.answers()


def test_no_sample_is_asked_about_twice() -> None:
    """Both ask about the same ones, in an order that follows from the key alone, until the pool is used up."""
    schedule = PublicSchedule(pool_size=10, counts=(4, 3))
    order = order_of(b"key", 10)
    assert torch.equal(order, order_of(b"key", 10))
    assert not torch.equal(order, order_of(b"another", 10))
    assert sorted(order.tolist()) == list(range(10))
    of_a, of_b = ([order[schedule.asked(number, rank)].tolist() for number in (1, 2, 3, 4)] for rank in (0, 1))
    assert [len(asked) for asked in of_a] == schedule.of_exchanges(4, 0) == [4, 4, 2, 0]
    assert schedule.of_exchanges(4, 1) == [3, 3, 2, 0]
    assert sorted(place for part in of_a for place in part) == list(range(10))
    assert all(b == a[: len(b)] for a, b in zip(of_a, of_b, strict=True))


@pytest.mark.parametrize("opening", ["differences", "values"])
def test_the_owner_answers_by_the_network_of_all_other_answers(opening: str) -> None:
    """Its logits, by PyTorch itself, with what the owner does to them; less their mean where only differences open."""
    link, model = Link(), network(5)
    answers = ask(public_peer(link, opening), model)
    asked = POOL.select(order_of(b"both", 10)[:3])
    with torch.no_grad():
        expected_NC = model(asked.inputs) + 7.0
    if opening == "differences":
        expected_NC = expected_NC - expected_NC.mean(1, keepdim=True)
    torch.testing.assert_close(link.given[0], expected_NC)
    assert link.given[0].dtype == torch.float32
    assert link.charged == [Disclosure(query_id=1, to_party="b", num_samples=3, model_step=9)]
    assert answers.public is not None
    assert answers.public.disclosure == link.charged[0]
    assert answers.public.sample_ids.tolist() == POOL.sample_ids[order_of(b"both", 10)[:4]].tolist()
    assert (answers.public.num_asked, answers.public.num_dropped, answers.cost) == (4, 0, Cost(rounds=4))


def test_answers_that_cannot_be_right_are_dropped() -> None:
    """Beyond the bound that the other one announced, or not a number; in regression, far from the own targets."""
    says = torch.ones(4, CLASSES)
    says[0, 1], says[2, 0] = 17.0, torch.nan
    answers = ask(public_peer(Link(says), bound=16.0), network(5))
    assert answers.public is not None
    assert answers.public.sample_ids.tolist() == POOL.sample_ids[order_of(b"both", 10)[[1, 3]]].tolist()
    assert answers.public.num_dropped == 2
    held = learner().holding
    targets = torch.randn(len(held.train), CLASSES, generator=torch.Generator().manual_seed(0))
    train = Samples(held.train.inputs, targets, held.train.sample_ids)
    nobody = train.select(torch.arange(0))
    holding = type(held)(train=train, validation=nobody, pool=nobody, test=nobody, public=POOL)
    says = torch.zeros(4, CLASSES)
    says[1] = 1e6
    kept = without_far_answers(
        ask(public_peer(Link(says), bound=1e9), network(5)), Regression(), holding, private=False
    ).public
    assert kept is not None
    assert kept.num_dropped == 1


class Talk:
    """A scheme whose other party contributes `theirs`, and that counts what crosses."""

    def __init__(self, theirs: Any = SAID, number: Any = None) -> None:
        self._theirs, self._number = theirs, number
        self.session = SimpleNamespace(rank=0, meter=CostMeter(), common_key=lambda both, purpose: b"".join(both))

    def announce(self, message: Any) -> Any:
        return {**message, "contribution": self._theirs} | ({} if self._number is None else {"public_questions": 7})


def link_of(path: Path, scheme: Any = None, *, sigma: float = 0.5, own: bytes = OWN) -> SessionLink:
    budget = QueryBudget(DisclosureConfig(max_answers_total=40, logit_noise=sigma), path, run="first", peer=None)
    budget.plan("b", [5, 5], public=PublicPlan([3, 3]))
    secrets = PublicSecrets(contribution=own, noise=NOISE, stream=Stream)
    return SessionLink(scheme or Talk(), budget, secrets, sigma=sigma)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (Talk("zz"), "contributed 'zz'"),
        (Talk("00" * 31), "to the choice of public questions"),
        (Talk(THEIRS.hex(), number=7), "does not prepare the public questions of exchange 1"),
        (Talk(5), "does not prepare the public questions"),
    ],
)
def test_what_the_other_one_contributes_is_checked(tmp_path: Path, scheme: Any, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        link_of(tmp_path / "ledger", scheme).agree(1)


def test_noise_is_fresh_for_each_exchange_and_sigma(tmp_path: Path) -> None:
    """The same again for the same exchange, so that nothing is averaged out of a repeated one; of the standard
    deviation asked for; another sigma is other noise, since two scalings of one would show the logits."""
    zeros = torch.zeros(4000, 3)
    link = link_of(tmp_path / "ledger")
    first = link.conceal(zeros, 1)
    assert torch.equal(first, link.conceal(zeros, 1))
    assert float(first.std()) == pytest.approx(0.5, rel=0.05)
    for other in (link.conceal(zeros, 2), link_of(tmp_path / "ledger", sigma=1.0).conceal(zeros, 1)):
        assert abs(float(torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1])) < 0.05
    assert torch.equal(link_of(tmp_path / "ledger", sigma=0.0).conceal(zeros, 1), zeros)


@pytest.mark.parametrize(
    ("changed", "charged"),
    [({}, [3]), ({"theirs": bytes(32)}, [3, 3]), ({"sigma": 0.25}, [3, 3]), ({"network": 2}, [3, 3])],
    ids=["the same", "their contribution", "noise", "network"],
)
def test_only_the_same_answers_are_free(tmp_path: Path, changed: dict[str, Any], charged: list[int]) -> None:
    """After a cut the answers of that exchange are charged again unless all that they follow from is the same."""
    path = tmp_path / "ledger"
    link = link_of(path)
    link.agree(1)
    state = link.state_dict()
    link._budget.charge(Disclosure(query_id=1, to_party="b", num_samples=5, model_step=6))
    given = Disclosure(query_id=1, to_party="b", num_samples=3, model_step=6)
    link.charge(given, network(1))
    again = link_of(path, Talk(changed.get("theirs", THEIRS).hex()), sigma=changed.get("sigma", 0.5), own=bytes(32))
    again.load_state_dict(state)
    assert again.repeats is ("sigma" not in changed)
    again.agree(1)
    again.charge(given, network(changed.get("network", 1)))
    assert [entry.num_samples for entry in read_ledger(path) if entry.kind == "public"] == charged
    # A later exchange is a new one in any case.
    again._budget.charge(Disclosure(query_id=2, to_party="b", num_samples=2, model_step=6))
    again.charge(Disclosure(query_id=2, to_party="b", num_samples=1, model_step=6), network(1))
    assert read_ledger(path)[-1].kind == "public"


def test_the_plan_counts_them_and_rounding_does_not(tmp_path: Path) -> None:
    """The limit holds both kinds; noise that hides rounding is for the others alone, before and after they are
    charged."""
    path = tmp_path / "ledger"
    budget = QueryBudget(DisclosureConfig(repeats=0), path, run="first", peer=None)
    budget.plan("b", [5, 5], public=PublicPlan([30, 10]))
    assert (budget.limit, budget.noise_rule.num_answers) == (50, 10)
    budget.charge(Disclosure(query_id=1, to_party="b", num_samples=5, model_step=6))
    budget.charge_public(Disclosure(query_id=1, to_party="b", num_samples=30, model_step=6), about="1")
    assert (budget.answered, budget.facts()["public"], budget.noise_rule.num_answers) == (35, 30, 10)
    short = QueryBudget(DisclosureConfig(max_answers_total=49), tmp_path / "other", run="first", peer=None)
    with pytest.raises(BudgetError, match=r"may ask for 50 answers in 2 exchange.*leaves 49; 50 would do"):
        short.plan("b", [5, 5], public=PublicPlan([30, 10]))
    with pytest.raises(BudgetError, match="max_answers_per_exchange=34"):
        QueryBudget(DisclosureConfig(max_answers_per_exchange=34), tmp_path / "other", run="first", peer=None).plan(
            "b", [5, 5], public=PublicPlan([30, 10])
        )


@pytest.mark.parametrize("is_control", [False, True], ids=["with a peer", "self distillation"])
def test_they_teach_by_soft_labels_alone(is_control: bool) -> None:
    """They join the batches of the party as samples of its pool do, and those of its local control with labels of its
    own network: a gain counts only above that."""
    made = learner(teacher="ensemble")
    holding = type(made.holding)(**{**vars(made.holding), "public": POOL})
    made = dataclasses.replace(made, holding=holding)
    finished, cache = network(8), SoftLabelCache(holding.answerable_ids, CLASSES)
    said_NC = torch.arange(12.0).view(4, CLASSES)
    cache.store(POOL.sample_ids[:4], said_NC, model_step=3)
    if is_control:
        trainer = local_control("self_distillation", made, network(1), finished)
    else:
        trainer = made.taught_trainer(network(1), cache, None, lambda: None)
    assert trainer.teacher is not None
    trainer.teacher.refresh(trainer._model, 2.0)
    drawn = trainer.teacher.pool_batch(64)
    assert drawn is not None
    inputs_MX, logits_MC, _ = drawn
    expected = POOL.inputs if is_control else POOL.inputs[:4]
    rows = [int((POOL.inputs == one).flatten(1).all(1).nonzero()) for one in inputs_MX]
    assert sorted(rows) == list(range(len(expected)))
    with torch.no_grad():
        right_NC = finished(POOL.inputs) if is_control else said_NC
    torch.testing.assert_close(logits_MC.softmax(1), right_NC[rows].softmax(1))
    assert not set(POOL.sample_ids.tolist()) & set(holding.candidates.sample_ids.tolist()), "asked about in secret"


def test_the_peer_speaks_alone_of_public_samples() -> None:
    """Where held-out samples speak for the own network they would silence it, also about classes that they lack; of
    what was not asked about nothing is learned. Trust still weighs it."""
    made = learner(teacher="ensemble")
    held = type(made.holding)(**{**vars(made.holding), "validation": samples(90, 100, seed=10), "public": POOL})
    made = dataclasses.replace(made, holding=held)
    finished = network(8)
    with torch.no_grad():
        finished[1].weight.copy_(8 * torch.eye(4)[:CLASSES])  # right on the blobs
    cache = SoftLabelCache(held.answerable_ids, CLASSES)
    wrong_NC = -9.0 * torch.eye(CLASSES)[held.validation.targets]
    said_NC = torch.arange(12.0).view(4, CLASSES)
    ids = torch.cat([held.validation.sample_ids, POOL.sample_ids[:4], held.train.sample_ids[:2]])
    cache.store(ids, torch.cat([wrong_NC, said_NC, said_NC[:2]]), model_step=3)
    teacher = made.taught_trainer(network(1), cache, finished, lambda: None).teacher
    assert teacher is not None
    teacher.refresh(network(1), 2.0)
    public, own = teacher.lookup(POOL.sample_ids), teacher.lookup(held.train.sample_ids)
    assert public is not None
    assert public.positions.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(public.logits_NC, said_NC)
    assert public.weights().tolist() == [1.0] * 4
    assert own is not None
    assert own.weights().max() < 0.5


def test_an_alarm_takes_them_back(tmp_path: Path) -> None:
    """What an exchange under suspicion said about public samples is forgotten with the rest of it."""
    cache = SoftLabelCache(torch.cat([torch.arange(3), POOL.sample_ids]), CLASSES)
    answers = ask(public_peer(Link()), network(5))
    cache.store(*answers.learned_from, model_step=4)
    assert cache.lookup(POOL.sample_ids) is not None
    cache.forget(1)
    assert cache.lookup(POOL.sample_ids) is None
