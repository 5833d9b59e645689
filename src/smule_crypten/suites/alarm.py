"""Suite `alarm`: how often the alarm fires at honest peers, and how soon at poisoned answers.

Both parties are honest and learn from each other. What one asks is also answered by each kind of attack=answers, from
which nobody learns. The tests then see the honest answers of a whole run, or poisoned ones from an exchange on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

import torch
from torch import nn

from smule_crypten.attacks.answers import AnswersOptions
from smule_crypten.attacks.table import make_attack
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import AttackConfig
from smule_crypten.data.samples import Samples
from smule_crypten.models.modules import copied
from smule_crypten.mutual_learning.peer import AnsweringNetwork, ForwardingPeer, Peer
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.simulated import Bench, Case
from smule_crypten.suites.suite_records import Findings
from smule_crypten.suites.tables import table
from smule_crypten.tasks.alarm import PeerWatch
from smule_crypten.types import centred

_KINDS = get_args(AnswersOptions.model_fields["kind"].annotation)
_FROM = (1, 3)
"""The exchanges from which answers are poisoned; honest ones come before."""
_HONEST = [
    ("setting", "Honest peers"),
    ("runs", "Runs"),
    ("exchanges", "Exchanges"),
    ("runs_with", "Runs with an alarm"),
    ("exchanges_with", "Exchanges with an alarm"),
]
_POISONED = [
    ("kind", "Poisoned answers"),
    ("from", "From"),
    ("setting", "Setting"),
    ("first", "Alarm in 1st"),
    ("second", "2nd"),
    ("later", "later"),
    ("never", "never"),
    ("tests", "Tests"),
]
_ON_TERMINAL = ("kind", "from", "setting", "first", "second", "later", "never")
_NOTE = "Each party of each seed is a run: the peer's answers as that party sees them. All in the clear."
_NOTE_DRAWN = " Runs drawn again share their networks, so they are not independent; a drop is never tested."

Answers = dict[str, list[torch.Tensor]]
"""Of a run, exchange by exchange: the known "labels", and the logits by "honest" and by each of _KINDS."""
Fired = list[dict[str, Any]]
"""Alarms as plain data."""


def run_alarm(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A table of honest peers and one of poisoned answers."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, case in Bench(store).cases(suite, run):
        settings = {"known": suite.known, "draws": suite.draws}
        result = case.result("alarms", partial(_measured, case, suite), **settings)
        found.setdefault(name, []).extend(result["runs"])
    honest = [_honest_row(name, runs) for name, runs in found.items()]
    poisoned = [
        _poisoned_row(kind, first, name, runs) for kind in _KINDS for first in _FROM for name, runs in found.items()
    ]
    note = _NOTE + (_NOTE_DRAWN if suite.draws else "")
    return Findings(
        tables=[
            table("The alarm at honest peers", _HONEST, honest, note),
            table("The alarm at poisoned answers", _POISONED, poisoned, note, _ON_TERMINAL),
        ]
    )


def _measured(case: Case, suite: SuiteConfig) -> dict[str, Any]:
    """All runs: the number of exchanges, and what fired at "honest" and at "<kind>, <from exchange>"."""
    runs = _drawn(case, suite.draws) if suite.draws else _followed(case)
    return {"runs": [_fired(_cut(answers, suite.known), case.here.learners[0].num_classes) for answers in runs]}


def _fired(answers: Answers, num_classes: int) -> dict[str, Any]:
    def alarms(kind: str, first: int) -> Fired:
        watch, found = PeerWatch(num_classes, len(answers["labels"])), []
        for number, labels_N in enumerate(answers["labels"], start=1):
            logits_NC = answers[kind if number >= first else "honest"][number - 1]
            found += [alarm.as_plain() for alarm in watch.check(number, logits_NC, labels_N)]
        return found

    poisoned = {f"{kind}, {first}": alarms(kind, first) for kind in _KINDS for first in _FROM}
    return {"exchanges": len(answers["labels"]), "honest": alarms("honest", 1), **poisoned}


def _cut(answers: Answers, known: int | None) -> Answers:
    """To the answers of known label; held-out samples come first in an exchange."""
    if known is None:
        return answers
    return {
        name: [values[: len(values) // 2 if number == 0 else known] for number, values in enumerate(of_run)]
        for name, of_run in answers.items()
    }


class _Recorder(ForwardingPeer):
    """Notes what a party asks and with which network it answers."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer)
        self.asked: list[Samples] = []
        self.answered_by: list[nn.Module] = []

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        self.asked.append(question)
        self.answered_by.append(copied(answering.model))
        super().ask(question, answering, losses)


def _followed(case: Case) -> list[Answers]:
    """What party a and party b were answered while they learned from each other, and would have been by liars."""
    recorders: list[_Recorder] = []

    def wrap(peer: Peer, rank: int) -> Peer:
        recorders.append(_Recorder(peer))
        return recorders[-1]

    case.here.mutual(case.both_alone, wrap=wrap)
    return [_answers(case, rank, recorders[rank].asked, recorders[1 - rank].answered_by) for rank in (0, 1)]


def _answers(case: Case, rank: int, asked: list[Samples], peers: list[nn.Module]) -> Answers:
    answers: Answers = {name: [] for name in ("labels", "honest", *_KINDS)}
    liars = {kind: _liar(case, 1 - rank, kind) for kind in _KINDS}
    for number, (question, peer) in enumerate(zip(asked, peers, strict=True), start=1):
        known = question.select((question.targets >= 0).nonzero()[:, 0])
        answers["labels"].append(known.targets)
        for name, answering in {"honest": lambda model, _: model, **liars}.items():
            answers[name].append(centred(case.logits(answering(peer, number), known.inputs)))
    return answers


def _liar(case: Case, rank: int, kind: str) -> Callable[[nn.Module, int], nn.Module]:
    """How the party of this rank, whose data are honest, would answer as an adversary."""
    learner = case.here.learners[rank]
    config = AttackConfig(name="answers", options={"kind": kind, "source": 1, "target": learner.num_classes - 1})
    return make_attack(config, learner.holding.train, learner.num_classes, learner.seed).answering


def _drawn(case: Case, draws: int) -> list[Answers]:
    """Runs of the networks that were trained alone, with questions drawn at random, for each party so many."""
    runs = []
    num_exchanges = len(exchange_epochs(case.run.exchange, case.run.training.epochs))
    for rank in (0, 1):
        known, peer = case.here.learners[rank].holding.known, case.both_alone[1 - rank].model
        all_of_them = _answers(case, rank, [known] * num_exchanges, [peer] * num_exchanges)
        queries = case.here.plan.num_queries
        count = len(known) if queries is None else max(1, queries[rank])
        for draw in range(draws):
            order = torch.randperm(len(known), generator=torch.Generator().manual_seed(1000 * case.run.seed + draw))
            parts = torch.split(order, count)[:num_exchanges]
            runs.append(
                {
                    name: [values[part] for values, part in zip(of_run, parts, strict=False)]
                    for name, of_run in all_of_them.items()
                }
            )
    return runs


def _honest_row(setting: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    fired = [run["honest"] for run in runs]
    return {
        "setting": setting,
        "runs": len(runs),
        "exchanges": sum(run["exchanges"] for run in runs),
        "runs_with": sum(bool(alarms) for alarms in fired),
        "exchanges_with": sum(len({alarm["exchange"] for alarm in alarms}) for alarms in fired),
    }


def _poisoned_row(kind: str, first: int, setting: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How many poisoned exchanges until the alarm, as numbers of runs; tests: which fired at first."""
    after, tests = [], set()
    for run in runs:
        # An alarm before is a false one.
        alarms = [alarm for alarm in run[f"{kind}, {first}"] if alarm["exchange"] >= first]
        number = min((alarm["exchange"] for alarm in alarms), default=None)
        after.append(None if number is None else number - first + 1)
        tests |= {alarm["test"] for alarm in alarms if alarm["exchange"] == number}
    return {
        "kind": kind,
        "from": str(first),
        "setting": setting,
        "first": after.count(1),
        "second": after.count(2),
        "later": sum(number is not None and number > 2 for number in after),
        "never": after.count(None),
        "tests": ", ".join(sorted(tests)),
    }
