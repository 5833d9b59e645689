"""Figures of the suites with a joint head, against their definitions computed apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import softmax

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.run import run_suite
from smule_crypten.suites.with_head import head_figures
from smule_crypten.training.evaluate import predict_logits

CPU = torch.device("cpu")
RUN = parse(
    RunConfig,
    {
        "allow_insecure": True,
        "randomness": "seeded_insecure",
        "data": {"name": "digits", "mean": [0.305], "std": [0.376], "max_train": 500, "max_test": 200},
        "exchange": {"num_queries": 40, "every": 1},
        "joint_head": {"name": "ridge", "answers": 40},
        "partition": {"name": "dirichlet", "alpha": 0.3},
        "simulation": {"controls": [], "pooled": False},
        "party_a": {"model": {"name": "mlp", "options": {"hidden": [16]}}, "samples": {"validation": 0.3}},
        "party_b": {"model": {"name": "mlp", "options": {"hidden": [16]}}, "samples": {"validation": 0.3}},
        "training": {"epochs": 3, "batch_size": 16, "balanced_softmax": True},
    },
)


def logits(model: torch.nn.Module, inputs_NX: torch.Tensor) -> torch.Tensor:
    return predict_logits(model, inputs_NX, 512, CPU)


@pytest.fixture(scope="module")
def here() -> InProcess:
    return InProcess(RUN)


def test_the_figures_are_what_they_are_called(here: InProcess) -> None:
    """The guess alone, and half of each probability, by NumPy; the exact head's by its weights."""
    models = [here.alone(rank).model for rank in (0, 1)]
    found, heads, test = head_figures(here, models, logits), here.heads, here.simulated.data.test
    assert heads is not None
    rows, right = heads.features.rows_of(test).numpy(), test.targets.numpy()

    def accuracy(said: np.ndarray) -> float:
        return float((said.argmax(axis=1) == right).mean())

    for rank in (0, 1):
        guess = softmax(15 * rows @ heads.knowledge[rank].weights_DC.numpy(), axis=1)
        network = softmax(logits(models[rank], test.inputs).numpy(), axis=1)
        assert found["own_head"][rank] == pytest.approx(accuracy(guess))
        assert found["with_own_head"][rank] == pytest.approx(accuracy(guess + network))
    assert found["joint_head"] == pytest.approx(accuracy(rows @ heads.weights_DC.numpy()))
    own, peer, head = found["head_weights"][0]
    assert found["head_weights"][1] == [peer, own, head]
    assert found["head_bytes"] == here.plan.head_bytes
    assert found["head_asked"] == [40, 40]


def test_the_suite_has_columns_of_the_head(tmp_path: Path) -> None:
    """Trained, together, with the own copy, and with the head answering; and the control beside them, which a gain is
    counted above."""
    suite: dict[str, Any] = {"name": "learning", "methods": ["alone", "own_head", "smule"]}
    with (tmp_path / "terminal.txt").open("w", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100)
        results = run_suite(parse(SuiteConfig, suite), RUN, tmp_path, ["smule-benchmark"], console)
    keys = {
        "own_head_accuracy",
        "own_head_with_accuracy",
        "smule_accuracy",
        "joint_accuracy",
        "own_copy_accuracy",
        "with_copy_accuracy",
        "head_answers_accuracy",
        "joint_head_accuracy",
    }
    assert keys <= {key for key, _ in results.tables[0].columns}
    for row in results.tables[0].rows:
        assert all(0 <= row[key] <= 1 for key in keys)
        assert row["gain_points"] <= row["smule_accuracy"] - row["own_head_accuracy"] + 1e-9
