"""Both parties in one process come to what they come to in processes of their own."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import PartySection, SamplesConfig
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import (
    AttackConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    PartitionConfig,
    SchemeConfig,
    TrainingConfig,
)
from smule_crypten.config.simulation import SimulationConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.mutual_learning.observer import Phase, Silent
from smule_crypten.mutual_learning.peer import Answers
from smule_crypten.party.figures import evaluation_record, gain_records
from smule_crypten.report.journal import read_journal
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.simulation.simulation import run_simulation
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.trainer import EpochResult
from smule_crypten.types import PARTY_NAMES, Cost


def configured(scheme: str = "plaintext", attack: str = "none", **sections: Any) -> RunConfig:
    section = PartySection(model=ModelConfig(name="mlp"), samples=SamplesConfig(validation=0.2, unlabeled=20))
    wider = section.model_copy(update={"model": ModelConfig(name="mlp", options={"hidden": [12]})})
    return RunConfig(
        scheme=SchemeConfig(name=scheme),
        allow_insecure=True,
        data=DataConfig(name="digits", max_train=800, max_test=100),
        partition=PartitionConfig(name="iid"),
        party_a=section,
        party_b=wider,
        exchange=ExchangeConfig(num_queries=60, every=1, warmup_epochs=1, share_a=0.6),
        training=TrainingConfig(
            epochs=4,
            batch_size=16,
            keep="best",
            alarm="quarantine",
            teacher="ensemble",
            optimizer=OptimizerConfig(learning_rate=0.1),
        ),
        simulation=SimulationConfig(fidelity=False),
        attack=AttackConfig.model_validate({"name": attack, "party": "b"}),
        **sections,
    )


PUBLIC = {"a": (14 + 14 + 12, 10 + 10 + 10), "b": (10 + 10 + 10, 14 + 14 + 12)}
"""Public samples asked about and answered, of a pool of 40 in the order of the exchanges."""


class Course(Silent):
    def __init__(self) -> None:
        self.epochs: list[tuple[str, int, float, float | None]] = []
        self.costs: list[Cost] = []
        self.counts: list[tuple[int, int]] = []

    def epoch(self, phase: Phase, result: EpochResult, tested: Outcome) -> None:
        self.epochs.append((phase, result.epoch, result.loss, tested.accuracy))

    def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None:
        self.costs.append(answers.cost)
        self.counts.append((answers.num_asked, answers.disclosure.num_samples))


def public_pool(folder: Path, count: int = 40) -> PublicPoolConfig:
    """Noise that both have, of which each exchange asks about 14 and 10, and the last one about fewer."""
    noise = np.random.default_rng(4).uniform(size=(count, 1, 8, 8)).astype(np.float32)
    labels = np.arange(count) % 2
    np.savez(folder / "pool.npz", x_train=noise, y_train=labels, x_test=noise, y_test=labels)
    return PublicPoolConfig(name="npz", path=str(folder / "pool.npz"), num_queries=12)


@pytest.mark.parametrize("is_public", [False, True])
def test_the_same_as_in_processes_of_their_own(tmp_path: Path, is_public: bool) -> None:
    """One run through both, with an adversary: losses, accuracies, all figures with intervals, gains and alarms bit
    for bit, of the reference on pooled data as well; bytes and rounds of the exchanges themselves to the last one.
    With public questions, which the adversary answers by the same network, too.
    """
    sections = {"public_pool": public_pool(tmp_path), "randomness": "seeded_insecure"} if is_public else {}
    run = configured(attack="answers", **sections)
    record = run_simulation(run, tmp_path / "run", Console(file=io.StringIO()))
    threads = torch.get_num_threads()
    torch.set_num_threads(run.launch.threads)
    here, courses = InProcess(run), (Course(), Course())
    both = here.mutual(observers=courses)
    pooled = here.pooled()
    torch.set_num_threads(threads)
    assert pooled.accuracy == record.pooled_test_accuracy
    names = here.simulated.data.bundle.class_names
    found = evaluation_record(here.learners[0].evaluated(pooled.model), names).in_short
    assert found == record.pooled_evaluation
    for name, loop, course in zip(PARTY_NAMES, both, courses, strict=True):
        there = record.parties[name]
        events = read_journal(tmp_path / "run" / f"party_{name}" / "record.jsonl")
        assert course.epochs == [(event.phase, event.epoch, event.loss, event.test_accuracy) for event in events]
        assert loop.accuracy == there.test_accuracy
        assert loop.alone is not None
        assert loop.alone.accuracy == there.standalone_test_accuracy
        smule, alone = loop.learner.evaluated(loop.network), loop.learner.evaluated(loop.alone.model)
        assert there.evaluations == {
            "standalone": evaluation_record(alone, names),
            "smule": evaluation_record(smule, names),
        }
        assert there.gains == {"standalone": gain_records(smule, alone)}
        assert there.evaluations["smule"].metrics["accuracy"].value == there.test_accuracy
        assert loop.best.name == there.kept_network
        assert loop.watchman.alarms == [vars(alarm) for alarm in there.alarms or []]
        cost = sum(course.costs, start=Cost())
        assert cost.bytes_total == there.bytes_by_phase["online"] + there.bytes_by_phase.get("public", 0)
        assert (there.public_made, there.public_answered) == ((0, 0) if not is_public else PUBLIC[name])
        asked = [event for event in events if event.queries_made]
        assert len(asked) == len(course.costs) == 3
        # The messages beside the exchange are the same few in each.
        assert {event.rounds - cost.rounds for event, cost in zip(asked, course.costs, strict=True)} == {3 + is_public}
    assert both[0].watchman.alarms, "the adversary does something"


def test_costs_are_those_of_the_named_scheme() -> None:
    """Whatever is paid for, the same is learned: nothing of the scheme is run."""
    lean = InProcess(configured("lean"))
    course = Course()
    paid, plain = lean.mutual(observers=(course, None)), InProcess(configured()).mutual()
    assert paid[0].accuracy == plain[0].accuracy
    assert lean.plan.num_queries == (72, 48)
    assert course.costs == [lean.prices.cost(0, counts) for counts in course.counts]
    assert all(cost.dealer_bytes > 0 for cost in course.costs)


def test_what_an_owner_does_to_its_answers() -> None:
    """It reaches the other party, and only as far as the classes differ: what is common to them is taken away."""
    here = InProcess(configured())
    alone = here.alone(0), here.alone(1)
    plain, shifted, noisy = (
        here.mutual(alone, option=option)[0] for option in (lambda x: x, lambda x: x + 100.0, lambda x: x.flip(1))
    )
    states = [loop.network.state_dict() for loop in (plain, shifted, noisy)]
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-4) for name in states[0])
    assert not all(torch.allclose(states[0][name], states[2][name], atol=1e-4) for name in states[0])


def test_one_party_may_learn_by_rules_of_its_own() -> None:
    """Learners can be replaced before they learn."""
    here = InProcess(configured(attack="answers"))
    first, second = here.learners
    here.learners = dataclasses.replace(first, training=first.training.model_copy(update={"alarm": "off"})), second
    assert here.mutual()[0].watchman.alarms == []


def test_out_of_step() -> None:
    """A party that reads before the other one has asked is told, rather than given nothing."""
    here = InProcess(configured())
    course = iter(here.begun()[0].run())
    next(course)
    with pytest.raises(ProtocolError, match="run both in step"):
        next(course)
