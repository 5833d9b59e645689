from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from smule_command import CRYPTENS_LAUNCHER, Ended, InAShell, MainRun, call, digest_of, run

from smule_crypten.report.journal import read_journal
from smule_crypten.training.checkpoint import load_checkpoint

COUNTERS = ("bytes_sent", "bytes_received", "rounds", "queries_made", "queries_answered")


def weights(folder: Path, file: str = "model.pt") -> list[torch.Tensor]:
    """Every tensor that both parties saved, in a fixed order."""
    state_dicts = [load_checkpoint(folder / f"party_{name}" / file).state_dict for name in "ab"]
    return [tensor for state_dict in state_dicts for tensor in state_dict.values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def counted(folder: Path) -> list[list[Any]]:
    """What each party counted in each epoch of mutual learning."""
    events = [event for name in "ab" for event in read_journal(folder / f"party_{name}" / "record.jsonl")]
    return [[getattr(event, key) for key in COUNTERS] for event in events if event.phase == "smule"]


def shells(
    problem: list[str], cwd: Path, overrides_of_b: tuple[str, ...] = (), third: tuple[str, ...] = ("dealer",)
) -> list[Ended]:
    """Party a, party b and, if there is one, the dealer; how the parties ended."""
    environment = {"SMULE_RENDEZVOUS": f"file://{cwd}/rendezvous"}
    overrides = [*problem, "hydra.run.dir=run"]
    roles = [
        InAShell([*overrides, *extra], cwd, environment={**environment, "SMULE_ROLE": role})
        for role, extra in (("a", ()), ("b", overrides_of_b), *((role, ()) for role in third))
    ]
    return [role.end() for role in roles][:2]


def test_cryptens_launcher_gives_the_same_models(problem: list[str], main_run: MainRun, tmp_path: Path) -> None:
    """Started by crypten.mpc.run_multiprocess, both parties save the same bits and count the same bytes and rounds."""
    ended = run(*problem, f"hydra.run.dir={tmp_path}/run", cwd=tmp_path, program=CRYPTENS_LAUNCHER)
    assert (ended.exit_code, ended.errors) == (0, "")
    assert same(weights(tmp_path / "run"), weights(main_run.folder))
    assert counted(tmp_path / "run") == counted(main_run.folder)


def test_three_shells_give_the_same_models(
    problem: list[str],
    main_run: MainRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Processes that only know SMULE_ROLE and SMULE_RENDEZVOUS do it too; their folder is not written over."""
    for ended in shells(problem, tmp_path):
        assert (ended.exit_code, ended.errors) == (0, "")
    folder = tmp_path / "run"
    assert same(weights(folder), weights(main_run.folder))
    assert counted(folder) == counted(main_run.folder)
    view = json.loads((folder / "party_b" / "party.json").read_text())
    assert (view["architecture"], view["queries_made"], view["queries_answered"]) == ("lenet", 24, 24)

    before = digest_of(folder)
    assert call(monkeypatch, *problem, f"hydra.run.dir={folder}") == 5
    for key, value in {"SMULE_ROLE": "b", "SMULE_RENDEZVOUS": f"file://{tmp_path}/again"}.items():
        monkeypatch.setenv(key, value)
    assert call(monkeypatch, *problem, f"hydra.run.dir={folder}") == 5
    assert capfd.readouterr().err.count("holds a finished run") == 2
    assert digest_of(folder) == before


def test_two_parties_alone(problem: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a dealer two shells do it, or two processes of CrypTen's launcher, with the same models; who starts a
    dealer is told that there is none."""
    two = [*problem, "scheme=two_party"]
    for ended in shells(two, tmp_path, third=()):
        assert (ended.exit_code, ended.errors) == (0, "")
    launched = run(*two, f"hydra.run.dir={tmp_path}/launched", cwd=tmp_path, program=CRYPTENS_LAUNCHER)
    assert (launched.exit_code, launched.errors) == (0, "")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "launched"))
    assert counted(tmp_path / "run") == counted(tmp_path / "launched")
    environment = {"SMULE_ROLE": "dealer", "SMULE_RENDEZVOUS": f"file://{tmp_path}/third"}
    dealer = InAShell([*two, f"hydra.run.dir={tmp_path}/third"], tmp_path, environment=environment).end()
    assert dealer.exit_code == 2
    assert "SMULE_ROLE=dealer: scheme=two_party has no dealer; start a and b alone" in dealer.errors


def test_fresh_randomness_changes_only_the_rounding(
    problem: list[str], main_run: MainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fresh keys training alone repeats bit for bit; after exchanges the weights are close, but not the same."""
    quick = ("randomness=fresh", "simulation={pooled:false,fidelity:false,controls:[]}")
    assert call(monkeypatch, *problem, *quick, f"hydra.run.dir={tmp_path}/fresh") == 0
    assert same(weights(tmp_path / "fresh", "standalone.pt"), weights(main_run.folder, "standalone.pt"))
    fresh, seeded = weights(tmp_path / "fresh"), weights(main_run.folder)
    assert not same(fresh, seeded)
    for one, other in zip(fresh, seeded, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-2)
    assert [row[:3] for row in counted(tmp_path / "fresh")] == [row[:3] for row in counted(main_run.folder)]


@pytest.mark.slow
def test_a_run_repeats_with_its_seed(
    problem: list[str], main_run: MainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command gives the same models, bytes and rounds; another seed gives other models."""
    for folder, seed in (("again", 0), ("other", 1)):
        assert call(monkeypatch, *problem, f"seed={seed}", f"hydra.run.dir={tmp_path}/{folder}") == 0
    assert same(weights(tmp_path / "again"), weights(main_run.folder))
    again, first = (json.loads((path / "summary.json").read_text()) for path in (tmp_path / "again", main_run.folder))
    for key in ("communication", "fidelity", "parties", "pooled_test_accuracy"):
        assert again[key] == first[key]
    assert not same(weights(tmp_path / "other"), weights(main_run.folder))


@pytest.mark.slow
def test_three_shells_that_disagree(problem: list[str], tmp_path: Path) -> None:
    """Different settings end both parties with one line that names the key and both values."""
    for ended in shells(problem, tmp_path, overrides_of_b=("training.epochs=4",)):
        assert ended.exit_code == 13
        (line,) = ended.errors.splitlines()
        assert "epochs: " in line
        assert "3" in line
        assert "4" in line


@pytest.mark.slow
def test_cryptens_launcher_reports_a_failure(problem: list[str], tmp_path: Path) -> None:
    """CrypTen's launcher hides how a party failed; ours around it shows the line and returns the exit code."""
    diverging = "training.optimizer.learning_rate=1e30"
    ended = run(*problem, diverging, "hydra.run.dir=run", cwd=tmp_path, program=CRYPTENS_LAUNCHER)
    assert ended.exit_code == 9
    # Who is still training when the other one gives up says that instead.
    assert ended.errors.count("smule: error: training diverged") in (1, 2)
    assert ended.errors.splitlines()[-1] == "smule: error: a party failed; its message stands above"
    assert "Traceback" not in ended.errors
