"""`smule` with a public map: choices, progress, and what a second run takes from the cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from npz_files import save_npz
from smule_command import run_here

SMALL = (
    "data=npz",
    "data.path=problem.npz",
    "features.cache=cache",
    "partition=iid",
    "party_a/model=mlp",
    "party_b/model=mlp",
    "training.epochs=2",
    "training.batch_size=16",
    "exchange.num_queries=8",
    "exchange.every=1",
    "exchange.warmup_epochs=1",
    "simulation.controls=[]",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_npz(tmp_path / "problem.npz")
    return tmp_path


def test_a_run_on_features(folder: Path) -> None:
    """One choice more than without: both parties learn from what the map made, computed once for the whole machine."""
    ended = run_here(*SMALL, "features=patches", "hydra.run.dir=first", cwd=folder)
    assert (ended.exit_code, ended.errors) == (0, "")
    assert ended.output.count("training samples computed in ") == 1
    summary = json.loads((folder / "first" / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["fidelity"]["top1_agreement"] > 0.8
    assert summary["parties"]["a"]["test_accuracy"] > 0.5
    again = run_here(*SMALL, "features=patches", "hydra.run.dir=second", cwd=folder)
    assert again.exit_code == 0
    assert "computed in" not in again.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["features=patch"], 2, "features: no choice 'patch'"),
        (["features=torchvision"], 2, "features.options.path: must be given"),
        (["features=module"], 2, "features.options._target_: expected an importable callable"),
        (["features=patches", "features.options.size=3"], 2, "features.options.size: unknown option"),
        (["features=patches", "training=images"], 2, "which needs copies; set features.copies, for example to 8"),
        (["features=patches", "party_a/model=lenet"], 4, "network 'lenet'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(folder: Path, arguments: list[str], exit_code: int, words: str) -> None:
    ended = run_here(*SMALL, *arguments, "hydra.run.dir=run", cwd=folder)
    assert ended.exit_code == exit_code
    assert words in ended.errors
    assert ended.errors.count("\n") == 1
