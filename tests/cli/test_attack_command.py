"""A run with a simulated adversary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smule_command import call, run_here

from smule_crypten.report.summary import read_summary


def test_an_attack_is_named_and_measured(problem: list[str], tmp_path: Path) -> None:
    """Terminal, summary and page say who attacks how, and how often it succeeds at each of the honest networks; the
    adversary's stamped samples are compared as it asked about them."""
    ended = run_here(
        *problem, "attack=backdoor", "training.trust=none", "simulation.controls=[]", "hydra.run.dir=run", cwd=tmp_path
    )
    assert (ended.exit_code, ended.errors) == (0, "")
    notice = "simulated attack: party b is an adversary (backdoor)"
    assert ended.output.count(notice) == 2
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    read_summary(tmp_path / "run")
    assert (summary["attack"]["name"], summary["attack"]["party"]) == ("backdoor", "b")
    assert list(summary["attack"]["success"]) == ["alone", "smule", "pooled"]
    assert all(0 <= success <= 1 for success in summary["attack"]["success"].values())
    assert summary["fidelity"]["max_abs_logit_error"] < 0.1
    assert [summary["parties"][name]["alarms"] for name in "ab"] == [[], []]
    assert notice in (tmp_path / "run" / "report.html").read_text()


def test_a_mistake_is_found_before_anything_starts(
    problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class that does not exist is refused in one line, and no folder is left."""
    folder = tmp_path / "run"
    options = ["attack=backdoor", "attack.options.target=99", "training.trust=none", f"hydra.run.dir={folder}"]
    code = call(monkeypatch, *problem, *options)
    assert code == 2
    assert "attack.options.target=99 is no class" in capsys.readouterr().err
    assert not folder.exists()
