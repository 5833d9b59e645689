"""A run of each task in one process: a party with few labels learns from one with many."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from smule_crypten.baselines.averaging import federated_averaging
from smule_crypten.baselines.full_training import train_in_full
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import ConfigError
from smule_crypten.launch.library import configure
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.run import run_suite

FEATURES, OUTPUTS = 12, 3
FACTORS = torch.randn(FEATURES, OUTPUTS, generator=torch.Generator().manual_seed(1))
UNITS, OFFSET = 50.0, 300.0


def _bundle(kind: str) -> DataBundle:
    """Inputs from whose linear functions everything follows."""
    inputs_NX = torch.randn(900, 1, 1, FEATURES, generator=torch.Generator().manual_seed(0))
    values_NC = inputs_NX.flatten(1) @ FACTORS
    targets = {
        "multilabel": (values_NC > 0).float(),
        "regression": OFFSET + UNITS * values_NC,
        "classification": values_NC.argmax(1),
    }[kind]
    whole = Samples(inputs_NX, targets, torch.arange(900))
    names = tuple(f"{kind} {number}" for number in range(OUTPUTS))
    return DataBundle(whole.select(torch.arange(600)), whole.select(torch.arange(600, 900)), names)


def classes() -> DataBundle:
    return _bundle("classification")


def labels() -> DataBundle:
    return _bundle("multilabel")


def values() -> DataBundle:
    return _bundle("regression")


SETTINGS = [
    "partition=iid", "training.epochs=12", "exchange.every=2", "exchange.num_queries=120", "scheme=plaintext",
    "party_a/model=mlp", "party_b/model=mlp", "party_a.model.options.hidden=[16]", "party_b.model.options.hidden=[16]",
    "party_a.samples.labeled=40", "party_a.samples.unlabeled=250", "party_a.samples.validation=0.25",
    "training.batch_size=16", "training.optimizer.learning_rate=0.05",
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "overrides", "higher_is_better"),
    [
        (classes, ["task=classification"], True),
        (classes, ["task=classification", "metric=log_loss", "training.class_weights=balanced"], False),
        (labels, ["task=multilabel", "training.class_weights=balanced"], True),
        (values, ["task=regression", f"data.target_mean=[{OFFSET}]", f"data.target_std=[{3 * UNITS}]"], False),
    ],
    ids=["classification", "log loss", "multilabel", "regression"],
)
def test_a_party_with_few_labels_learns_from_its_peer(
    data: object, overrides: list[str], higher_is_better: bool
) -> None:
    """By the metric of the run, on test samples, and in the targets' own units."""
    both = InProcess(configure(*SETTINGS, *overrides, data=data))  # type: ignore[arg-type]
    alone = both.alone(0), both.alone(1)
    taught, _ = both.mutual(alone)
    before, after = alone[0].tested.score, taught.tested.score
    assert before is not None
    assert after is not None
    assert after > before + 0.02 if higher_is_better else after < 0.9 * before
    assert taught.watchman.alarms == []
    assert (taught.accuracy is None) == ("task=regression" in overrides)


@pytest.mark.parametrize("control", ["self_mutual", "self_distillation"])
def test_controls_of_values(control: str) -> None:
    """Both that regression has train on squared errors; smoothed labels are none of its controls."""
    run = configure(*SETTINGS, "task=regression", f"data.target_mean=[{OFFSET}]", "training.epochs=4", data=values)
    assert run.controls == ("self_mutual", "self_distillation")
    both = InProcess(run)
    found = both.control(control, 1, both.alone(1)).tested  # type: ignore[arg-type]
    assert found.score is not None
    assert found.accuracy is None


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_private_training_of_other_tasks(task: str) -> None:
    """Gradients of single samples of every loss are shortened and noised."""
    data = labels if task == "multilabel" else values
    private = ["training=private", "simulation.controls=[]", "simulation.pooled=false", "party_a.samples.unlabeled=0"]
    run = configure(*SETTINGS, *private, f"task={task}", "training.epochs=3", data=data)
    result = InProcess(run).alone(0)
    assert result.tested.score is not None


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_averaged_weights_of_other_tasks(task: str) -> None:
    """FedAvg judges the average by the metric of the task; full training on shares knows classes alone."""
    data, constants = (labels, []) if task == "multilabel" else (values, [f"data.target_mean=[{OFFSET}]"])
    run = configure(*SETTINGS, f"task={task}", "training.epochs=2", *constants, data=data)
    found = federated_averaging(run)
    assert found["score"] in [point["score"] for point in found["curve"]]
    with pytest.raises(ConfigError, match=f"task={task}: full training on shares learns classes alone"):
        train_in_full(run)


def test_suites_compare_classes(tmp_path: Path) -> None:
    """Nothing of a suite is begun for another task."""
    run = configure(*SETTINGS, "task=multilabel", data=labels)
    with pytest.raises(ConfigError, match="task=multilabel: suite methods compares how often classes are right"):
        run_suite(SuiteConfig(name="methods"), run, tmp_path / "suite", [], Console())
    assert not (tmp_path / "suite").exists()
