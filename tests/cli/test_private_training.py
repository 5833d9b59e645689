"""Differentially private training as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smule_command import call, run_here

from smule_crypten.report.summary import read_summary

PRIVATE = ["+experiment=private", "training.dp.target_epsilon=2", "party_b/model=mlp", "exchange.num_queries=6"]


def test_the_record_says_what_was_spent(problem: list[str], tmp_path: Path) -> None:
    """Protects: both trainings of a party together stay within the target, and every report says so."""
    ended = run_here(*problem, *PRIVATE, "training.batch_size=16", "hydra.run.dir=run", cwd=tmp_path)
    assert (ended.exit_code, ended.errors) == (0, "")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    read_summary(tmp_path / "run")
    for party in summary["parties"].values():
        privacy = party["privacy"]
        assert 0.9 * 2 < privacy["epsilon"] <= 2
        assert privacy["steps"] == 2 * 3 * -(-party["num_train"] // 16)
    assert "private training" in ended.output
    assert "epsilon" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("override", "needed"),
    [
        ("training.trust=adaptive", "training.trust=none"),
        ("training.balanced_softmax=true", "training.balanced_softmax=false"),
        ("training.self_mutual=true", "training.self_mutual=false"),
        ("training.alarm=quarantine", "training.alarm=report or off"),
        ("exchange.spot_checks=5", "exchange.spot_checks=0"),
        ("party_b.samples.unlabeled=5", "party_b.samples.unlabeled=0"),
        ("party_a.samples.validation=0", "party_a.samples.validation"),
        ("simulation.controls=[label_smoothing]", "simulation.controls=[]"),
    ],
)
def test_what_tells_more_is_refused(
    problem: list[str],
    override: str,
    needed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Protects: the stated epsilon is that of everything a party lets out about its training samples."""
    assert call(monkeypatch, *problem, *PRIVATE, "training.keep=last", override) == 2
    error = capsys.readouterr().err
    assert "training.dp" in error
    assert needed in error
