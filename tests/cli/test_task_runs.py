"""A run of several labels and one of numbers, through processes and secure inference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from smule_command import call

from smule_crypten.training.checkpoint import load_model

SMALL = [
    "partition=iid",
    "party_a/model=mlp",
    "party_b/model=mlp",
    "training.epochs=2",
    "training.batch_size=16",
    "exchange.every=1",
    "exchange.num_queries=8",
    "simulation.controls=[label_smoothing]",
]
RUNS = {
    "multilabel": ["data=digits_pairs", "data.max_train=200", "task=multilabel"],
    "regression": [
        "data=target", "data.options._target_=user_data.numbers", "data.mean=[128]", "data.std=[64]", "task=regression",
        "data.target_mean=[50]", "data.target_std=[20]",
    ],
}  # fmt: skip


@pytest.mark.parametrize("task", RUNS)
def test_a_run_of_each_task(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are opened as they are, the metric of the task stands in the summary, and the kept network predicts."""
    assert call(monkeypatch, *RUNS[task], *SMALL, f"hydra.run.dir={tmp_path}") == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["fidelity"]["max_abs_logit_error"] < 0.1
    assert (summary["fidelity"]["top1_agreement"] is None) == (task == "regression")
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert all(line["test_metric"] is not None for line in lines)
    phases = {line["phase"] for line in lines}
    assert ("label_smoothing" in phases) == (task == "multilabel")
    model = load_model(tmp_path / "party_a" / "model.pt")
    predicted = model.predict(torch.zeros(3, *model.input_shape))
    assert predicted.shape == (3, len(model.class_names))
    assert set(predicted.flatten().tolist()) <= {0, 1} if task == "multilabel" else predicted.is_floating_point()
