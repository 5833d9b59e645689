"""Suite `figures`: rows by party and metric, each as the one loop and scikit-learn have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from sklearn import metrics as sk

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.launch.library import configure
from smule_crypten.report.formatting import human_bytes
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.suites.figures import _gain
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.run import run_suite
from smule_crypten.suites.suite_records import SuiteResults
from smule_crypten.training.evaluate import predict_logits

TINY = ("training.epochs=2", "exchange.every=1", "exchange.num_queries=10", "training.batch_size=16")


def run(folder: Path, of: RunConfig, **suite: Any) -> SuiteResults:
    with (folder / "terminal.txt").open("a", encoding="utf-8") as terminal:
        options = parse(SuiteConfig, {"name": "figures", **suite})
        return run_suite(options, of, folder, ["smule-benchmark"], Console(file=terminal, width=100))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A suite sets the threads of this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_figures_of_a_table_of_two_classes(tmp_path: Path) -> None:
    """Protects: a row of each party and metric of the task; values by an independent run and scikit-learn; the best
    control by the metric's own direction; exact bytes; names of networks by the data of the setting."""
    config = configure("data=breast_cancer", "partition=iid", *TINY)
    results = run(tmp_path, config, metrics=["auroc", "log_loss"], settings={"iid": {}}, seeds=(0,))
    figures, costs = (found.rows for found in results.tables)
    assert [(row["party"], row["metric"]) for row in figures] == [
        ("a", "AUROC"), ("a", "log loss"), ("b", "AUROC"), ("b", "log loss")
    ]  # fmt: skip
    here = InProcess(config)
    alone = here.alone(0), here.alone(1)
    learned, _ = here.mutual(alone)
    test = here.learners[0].holding.test
    logits = [
        predict_logits(model, test.inputs, 512, torch.device("cpu")) for model in (learned.network, alone[0].model)
    ]
    smule, before = (found.double().softmax(1).numpy() for found in logits)
    truth = test.targets.numpy()
    assert figures[0]["smule"] == f"{sk.roc_auc_score(truth, smule[:, 1]):.3f}"
    assert figures[1]["alone"] == f"{sk.log_loss(truth, before):.3f}"
    assert here.plan.run_bytes is not None
    assert costs[0]["total"] == human_bytes(here.plan.run_bytes)
    assert costs[0]["queries"] == "10 + 10"
    assert costs[0]["exchanges"] == 2


def test_other_tasks_have_their_metrics(tmp_path: Path) -> None:
    """Protects: labels and numbers beside classes, a party that only answers, and controls that a task lacks."""
    config = configure("data=diabetes", "task=regression", "partition=iid", *TINY, "exchange.share_a=1")
    results = run(tmp_path, config, settings={"only a asks": {}}, seeds=(0, 1))
    rows = results.tables[0].rows
    assert [(row["party"], row["metric"], row["seeds"]) for row in rows] == [
        ("a", "RMSE", 2), ("a", "MAE", 2), ("a", "R2", 2)
    ]  # fmt: skip
    assert "label smoothing" not in str(rows[0]["control"])


@pytest.mark.parametrize(
    ("low", "high", "clear"),
    [
        ((0.1, 0.2), (0.3, 0.4), "+2 of 2"),
        ((-0.3, 0.2), (-0.1, 0.4), "+1 -1 of 2"),
        ((-0.1, -0.2), (0.3, 0.4), "no clear gain of 2"),
    ],
)
def test_a_gain_is_clear_where_its_interval_excludes_zero(
    low: tuple[float, float], high: tuple[float, float], clear: str
) -> None:
    """Seed by seed; the interval that is shown holds all of them."""
    gains = [{"value": (a + b) / 2, "low": a, "high": b} for a, b in zip(low, high, strict=True)]
    row = _gain("auroc", gains)
    assert row["clear"] == clear
    assert row["interval"] == f"{min(low):+.3f} to {max(high):+.3f}"
