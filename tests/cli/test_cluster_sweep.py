"""A sweep through submitit: on this machine, each job in a process that it starts as on a machine of a cluster."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from smule_command import TIMEOUT_SECONDS, Started, digest_of, wait_until
from sweep_files import QUICK, rows_of

LOCALLY = ["-m", "hydra/launcher=submitit_local", "hydra.sweep.dir=sweep"]


@pytest.mark.slow
def test_the_table_holds_every_job(problem: list[str], tmp_path: Path) -> None:
    """Two jobs in processes of submitit: both stand in the table, in their order, with their settings and figures."""
    ended = Started([*LOCALLY, *problem, *QUICK, "scheme=plaintext", "seed=0,1"], tmp_path).end(2 * TIMEOUT_SECONDS)
    assert (ended.exit_code, ended.errors) == (0, "")
    rows = rows_of(tmp_path / "sweep")
    assert [(row["job"], row["seed"], row["status"], row["error"]) for row in rows] == [
        ("0", "0", "completed", ""), ("1", "1", "completed", "")
    ]  # fmt: skip
    assert all(float(row["accuracy_b_smule"]) > 0 and int(row["bytes_total"]) > 0 for row in rows)
    assert "Sweep folder: sweep" in ended.output


@pytest.mark.slow
def test_a_killed_job_goes_on(problem: list[str], tmp_path: Path) -> None:
    """A job that is killed, as a scheduler does at a limit of memory, is named, and leaves the table to the others; the
    same command completes it from what it had saved, and leaves the completed one alone."""
    sweep = [*LOCALLY, *problem, *QUICK, "training.epochs=30,3", "seed=5"]
    folder = tmp_path / "sweep"
    begun = Started(sweep, tmp_path)
    wait_until(lambda: any((folder / "0" / "party_a" / "states").glob("*.pt")), 2 * TIMEOUT_SECONDS)
    os.kill(task_of(folder, "training.epochs=30"), signal.SIGKILL)
    ended = begun.end(2 * TIMEOUT_SECONDS)
    wait_until(lambda: (folder / "1" / "summary.json").exists(), 2 * TIMEOUT_SECONDS)
    assert ended.exit_code == 8
    assert "smule: error: the launcher lost a job: Job " in ended.errors
    assert [row["status"] for row in rows_of(folder)][:1] == ["running"]  # as its summary said last
    identity = (folder / "0" / "party_a" / "run.json").read_bytes()
    completed = digest_of(folder / "1")

    ended = Started(sweep, tmp_path).end(2 * TIMEOUT_SECONDS)
    assert (ended.exit_code, ended.errors) == (0, "")
    assert [row["status"] for row in rows_of(folder)] == 2 * ["completed"]
    assert (folder / "0" / "party_a" / "run.json").read_bytes() == identity
    assert digest_of(folder / "1") == completed


def task_of(sweep: Path, override: str) -> int:
    """The process that runs the job with this override: the child of the one whose id submitit gives the job."""
    (log,) = (path for path in sweep.glob(".submitit/*/*_log.out") if f" {override}" in path.read_text())
    (child,) = Path(f"/proc/{log.parent.name}/task/{log.parent.name}/children").read_text().split()
    return int(child)
