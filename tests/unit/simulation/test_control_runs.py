from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from party_configs import party
from party_records import party_record
from rich.console import Console

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import PartySection
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.config.sections import DataConfig, ModelConfig, PartitionConfig, SchemeConfig, TrainingConfig
from smule_crypten.config.simulation import SimulationConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.errors import PartyFailedError, SmuleError
from smule_crypten.metric_names import metrics_of
from smule_crypten.party.events import ControlEnded, EpochEnded, Event
from smule_crypten.party.inputs import build_party_model
from smule_crypten.party.launcher import Job
from smule_crypten.party.run_folder import MODEL_FILE, party_folder
from smule_crypten.report.evaluation_records import EvaluationRecord, MetricRecord
from smule_crypten.simulation import simulation
from smule_crypten.simulation.controls import run_controls
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint

DATA = DataConfig(name="digits", max_train=200, max_test=100)
TRAINING = TrainingConfig(epochs=2, batch_size=32)


def config(folder: Path, **settings: Any) -> PartyConfig:
    return party(data=DATA, training=TRAINING, output_dir=str(folder), **settings)


def test_each_epoch_and_each_control_is_said_at_once(tmp_path: Path) -> None:
    """The parent shows and keeps what is finished; the accuracy is that after the last epoch. All metrics of a control
    come with it, and by how much the party's own network, here untrained, is better."""
    events: list[Any] = []
    _leave_network(config(tmp_path), MODEL_FILE)
    run_controls(events.append, config(tmp_path), ("self_mutual", "label_smoothing"))
    kinds = [(type(event), event.record.phase if isinstance(event, EpochEnded) else event.name) for event in events]
    expected = []
    for name in ("self_mutual", "label_smoothing"):
        expected += [(EpochEnded, name), (EpochEnded, name), (ControlEnded, name)]
    assert kinds == expected
    for epoch, control in (events[1:3], events[4:6]):
        assert (epoch.record.party, control.party) == ("a", "a")
        assert epoch.record.test_accuracy == control.score == control.evaluation.metrics["accuracy"].value
        assert list(control.evaluation.metrics) == list(control.gains) == metrics_of("classification")
        assert control.evaluation.num_samples == 100
        assert control.gains["accuracy"].high < 0


def test_a_control_that_cannot_be_trained_is_an_error(tmp_path: Path) -> None:
    """Nothing is left out in silence: without the network trained alone there is no self distillation."""
    _leave_network(config(tmp_path), MODEL_FILE)
    with pytest.raises(SmuleError, match=r"standalone\.pt"):
        run_controls(lambda event: None, config(tmp_path), ("self_distillation",))


def test_copies_begin_with_weights_of_their_own(tmp_path: Path) -> None:
    """No copy is the party's network, nor the other party's."""
    bundle = load_data(DATA)
    networks = [build_party_model(config(tmp_path, role=role), bundle, copy=copy) for role in "ab" for copy in (0, 1)]
    first = [next(network.parameters()) for network in networks]
    assert not any(torch.equal(first[i], first[j]) for i in range(4) for j in range(i))


def test_a_control_that_fails_ends_the_run_and_what_was_finished_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary says failed, holds the finished control, and claims no gain over the best of some."""
    monkeypatch.setattr(simulation, "run_jobs", _parties_succeed_and_a_control_fails)
    run = RunConfig(
        scheme=SchemeConfig(name="plaintext"),
        allow_insecure=True,
        data=DATA,
        partition=PartitionConfig(name="iid"),
        party_a=PartySection(model=ModelConfig(name="mlp")),
        party_b=PartySection(model=ModelConfig(name="mlp")),
        exchange=ExchangeConfig(),
        training=TRAINING,
        simulation=SimulationConfig(fidelity=False),
    )
    with pytest.raises(PartyFailedError, match="controls of party b: training diverged"):
        simulation.run_simulation(run, tmp_path / "run", Console(file=io.StringIO()))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["error"]) == ("failed", "controls of party b: training diverged")
    assert summary["parties"]["a"]["test_accuracy"] == 0.8
    assert summary["parties"]["a"]["controls"] == {"label_smoothing": 0.75}
    assert summary["parties"]["a"]["best_local_control"] is None
    assert set(summary["parties"]["a"]["evaluations"]) == {"label_smoothing"}
    assert summary["parties"]["a"]["gains"]["label_smoothing"]["accuracy"] == {"value": 0.05, "low": 0.01, "high": 0.09}


def _leave_network(config: PartyConfig, file: str) -> None:
    """As the party does at its end, but with the weights that it began with."""
    bundle = load_data(config.data)
    network = build_party_model(config, bundle)
    checkpoint = Checkpoint(
        model=config.model,
        input_shape=bundle.input_shape,
        num_classes=bundle.num_classes,
        class_names=bundle.class_names,
        mean=config.data.mean,
        std=config.data.std,
        model_step=0,
        state_dict=network.state_dict(),
    )
    save_checkpoint(party_folder(config) / file, checkpoint)


def _parties_succeed_and_a_control_fails(jobs: list[Job], on_event: Callable[[str, Event], None]) -> list[Any]:
    if jobs[0].name == "party a":
        return [party_record(test_accuracy=0.8, standalone_test_accuracy=0.7) for _ in jobs]
    assert [job.name for job in jobs] == ["controls of party a", "controls of party b"]
    evaluation = EvaluationRecord(num_samples=100, num_resamples=1000, metrics={"accuracy": MetricRecord(value=0.75)})
    gains = {"accuracy": MetricRecord(value=0.05, low=0.01, high=0.09)}
    on_event(jobs[0].name, ControlEnded("a", "label_smoothing", 0.75, evaluation, gains))
    raise PartyFailedError("controls of party b: training diverged")
