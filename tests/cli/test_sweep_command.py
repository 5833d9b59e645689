from __future__ import annotations

import json
from pathlib import Path

import pytest
from smule_command import Started, call, digest_of, wait_until
from sweep_files import QUICK, rows_of


def test_a_failing_job_does_not_stop_the_sweep(
    problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The job after the failed one completes; table and plot cover both; exit code 8; another sweep there is refused,
    and the same one leaves the completed job as it is."""
    monkeypatch.chdir(tmp_path)
    sweep = [*problem, *QUICK, "scheme=plaintext", "party_b/model=target,mlp", "hydra.sweep.dir=sweep"]
    assert call(monkeypatch, "-m", *sweep) == 8
    captured = capfd.readouterr()
    failure = "model.options._target_: expected an importable callable such as my_package.my_module.build, got None"
    assert captured.err.splitlines() == [
        f"smule: error: {failure}",
        "smule: error: 1 job(s) of the sweep failed; see sweep/sweep_summary.csv",
    ]
    failed, completed = rows_of(tmp_path / "sweep")
    assert (failed["status"], failed["party_b/model"], failed["error"]) == ("failed", "target", failure)
    assert (completed["status"], completed["party_b/model"], completed["error"]) == ("completed", "mlp", "")
    summary = json.loads((tmp_path / "sweep" / "1" / "summary.json").read_text())
    assert completed["accuracy_a_smule"] == str(summary["parties"]["a"]["test_accuracy"])
    assert completed["bytes_total"] == str(summary["communication"]["bytes_total"])
    assert "<svg" in (tmp_path / "sweep" / "sweep_summary.svg").read_text()

    notice = "simulation only: gives no protection (scheme=plaintext, randomness=seeded_insecure)"
    assert notice in captured.out
    assert summary["insecure_choices"] == ["scheme=plaintext", "randomness=seeded_insecure"]
    assert notice in (tmp_path / "sweep" / "1" / "report.html").read_text()
    assert summary["fidelity"]["max_abs_logit_error"] < 1e-5

    before = digest_of(tmp_path)
    assert call(monkeypatch, "-m", *sweep, "seed=1") == 5
    assert capfd.readouterr().err == (
        "smule: error: sweep holds another sweep; give its own command to go on with it, or set hydra.sweep.dir to a "
        "new folder\n"
    )
    assert digest_of(tmp_path) == before

    assert call(monkeypatch, "-m", *sweep) == 8
    assert "1 is complete" in capfd.readouterr().out
    assert digest_of(tmp_path / "sweep" / "1") == {
        name.removeprefix("sweep/1/"): digest for name, digest in before.items() if name.startswith("sweep/1/")
    }
    assert rows_of(tmp_path / "sweep") == [failed, completed]


def test_a_sweep_that_cannot_be_composed(
    problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An unknown choice anywhere in the sweep is refused before the first job, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "-m", *problem, "party_b/model=mlp,lenett", "hydra.sweep.dir=sweep") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "party_b/model: no choice 'lenett' (did you mean lenet?" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_whole_sweep(problem: list[str], tmp_path: Path) -> None:
    """Two choices and two temperatures in real processes: four completed rows that tell the jobs apart."""
    overrides = [*problem, *QUICK, "party_b/model=mlp,lenet", "training.temperature=1,4", "hydra.sweep.dir=sweep"]
    ended = Started(["-m", *overrides], tmp_path).end()
    assert (ended.exit_code, ended.errors) == (0, "")
    rows = rows_of(tmp_path / "sweep")
    assert [row["status"] for row in rows] == 4 * ["completed"]
    assert [(row["party_b/model"], row["training.temperature"]) for row in rows] == [
        ("mlp", "1"), ("mlp", "4"), ("lenet", "1"), ("lenet", "4")
    ]  # fmt: skip
    assert "Sweep folder: sweep" in ended.output


@pytest.mark.slow
def test_jobs_at_the_same_time(problem: list[str], tmp_path: Path) -> None:
    """Hydra's joblib launcher runs jobs in processes of its own, which start parties as those of a single run do."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra: pip install -e '.[sweeps]'")
    overrides = [*problem, *QUICK, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]
    ended = Started(["-m", *overrides, "hydra.sweep.dir=sweep"], tmp_path).end()
    assert ended.exit_code == 0, ended.errors
    assert [row["status"] for row in rows_of(tmp_path / "sweep")] == 2 * ["completed"]


@pytest.mark.slow
def test_ctrl_c_ends_the_whole_sweep(problem: list[str], tmp_path: Path) -> None:
    """No further job starts, and the table holds what was done."""
    overrides = [*problem, "training.epochs=200", "seed=0,1", "hydra.sweep.dir=sweep"]
    program = Started(["-m", *overrides], tmp_path)
    wait_until(lambda: (tmp_path / "sweep" / "0" / "party_a" / "standalone.pt").exists())
    program.press_ctrl_c()
    ended = program.end()
    assert ended.exit_code == 130
    assert ended.errors.splitlines()[0] == "smule: interrupted"
    assert [row["status"] for row in rows_of(tmp_path / "sweep")] == ["interrupted"]
    assert program.orphans == []
