from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from smule_command import STOP_SECONDS, Ended, MainRun, Started, call, digest_of, wait_until

from smule_crypten.report.journal import read_journal
from smule_crypten.report.summary import read_summary
from smule_crypten.training.checkpoint import load_checkpoint

EPOCHS = 200


@pytest.fixture
def long_problem(problem: list[str]) -> list[str]:
    """Trains alone for a second, then exchanges for minutes."""
    return [*problem, f"training.epochs={EPOCHS}", "party_b/model=mlp", "hydra.run.dir=run"]


def has_exchanged(run_dir: Path) -> bool:
    path = run_dir / "record.jsonl"
    return path.exists() and any(event.queries_made for event in read_journal(path))


def has_introduced_itself(store: Path) -> bool:
    return store.exists() and b"BEGIN CERTIFICATE" in store.read_bytes()


def check_what_is_left(run_dir: Path, status: str, error: str) -> None:
    """The summary says how it ended; checkpoints and records of the time before are readable."""
    summary = json.loads((run_dir / "summary.json").read_text())
    read_summary(run_dir)
    assert summary["status"] == status
    assert error in summary["error"]
    assert "\n" not in summary["error"]
    assert (run_dir / "report.html").exists()
    assert read_journal(run_dir / "record.jsonl")
    for name in "ab":
        load_checkpoint(run_dir / f"party_{name}" / "standalone.pt")
        assert len(read_journal(run_dir / f"party_{name}" / "record.jsonl")) > EPOCHS


def test_a_killed_party_stops_the_other(
    long_problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One party is killed in the middle of a run: the other ends, one line says which, and what was saved stays."""
    monkeypatch.chdir(tmp_path)
    children, killed_at = multiprocessing.active_children(), []

    def kill_party_b() -> None:
        wait_until(lambda: has_exchanged(tmp_path / "run"))
        (party_b,) = (child for child in multiprocessing.active_children() if child.name == "party b")
        killed_at.append(time.monotonic())
        os.kill(party_b.pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill_party_b)
    killer.start()
    assert call(monkeypatch, *long_problem) == 8
    killer.join()
    assert time.monotonic() - killed_at[0] < STOP_SECONDS
    assert set(multiprocessing.active_children()) <= set(children)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("smule: error: party b: was killed by SIGKILL")
    check_what_is_left(tmp_path / "run", "failed", "party b: was killed by SIGKILL")


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Until the end of the block, in this process and those it starts, writing beyond that fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(
    long_problem: list[str],
    main_run: MainRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """When a file cannot grow any more in the middle of a run: one line, exit code 5, other runs untouched."""
    monkeypatch.chdir(main_run.folder.parent)
    before, children = digest_of(main_run.folder), multiprocessing.active_children()
    with largest_file(30_000):
        assert call(monkeypatch, *long_problem, f"hydra.run.dir={tmp_path}/run") == 5
    assert set(multiprocessing.active_children()) <= set(children)
    (line,) = capfd.readouterr().err.splitlines()
    file = rf"{re.escape(str(tmp_path))}/run/(record\.jsonl|party_[ab]/\S+)"
    assert re.match(rf"smule: error: (party [ab]: )?cannot write {file}: File too large; free space", line)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["error"]) == ("failed", line.removeprefix("smule: error: "))
    read_journal(tmp_path / "run" / "record.jsonl")
    assert digest_of(main_run.folder) == before


def interrupted(program: Started, number: signal.Signals = signal.SIGINT) -> Ended:
    """The program and all its processes end quietly within the time that the project promises."""
    started = time.monotonic()
    if number == signal.SIGINT:
        program.press_ctrl_c()
    else:
        program.process.send_signal(number)
    ended = program.end()
    assert time.monotonic() - started < STOP_SECONDS
    assert program.orphans == []
    (line,) = ended.errors.splitlines()
    assert ended.exit_code == 130
    assert re.fullmatch(r"smule: interrupted(\. Next: the same command with hydra\.run\.dir=\S+ goes on .*)?", line)
    return ended


def test_ctrl_c_in_the_middle(long_problem: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends the run with one line and exit code 130; summary, records and checkpoints are there."""
    program = Started(long_problem, tmp_path)
    wait_until(lambda: has_exchanged(tmp_path / "run"))
    assert f"Next: the same command with hydra.run.dir={tmp_path / 'run'} goes on" in interrupted(program).errors
    check_what_is_left(tmp_path / "run", "interrupted", "interrupted by the user")


@pytest.mark.parametrize("num_servers", [0, 1])
def test_ctrl_c_at_the_start(num_servers: int, long_problem: list[str], tmp_path: Path) -> None:
    """Ctrl-C while the program, or the server that its parties are forked from, still imports is as quiet as later."""
    program = Started(long_problem, tmp_path)
    wait_until(lambda: program.num_loaded("libtorch_python") >= 1 + num_servers)
    interrupted(program)


@pytest.mark.slow
def test_the_end_of_a_batch_job(long_problem: list[str], tmp_path: Path) -> None:
    """SIGTERM to the program alone, as a batch system sends it, leaves no party behind either."""
    program = Started(long_problem, tmp_path)
    wait_until(lambda: has_exchanged(tmp_path / "run"))
    interrupted(program, signal.SIGTERM)
    check_what_is_left(tmp_path / "run", "interrupted", "interrupted by the user")


@pytest.mark.slow
def test_ctrl_c_while_waiting_for_the_peer(long_problem: list[str], tmp_path: Path) -> None:
    """A party that has introduced itself and waits in PyTorch's store for others who never come can be interrupted.

    It has not begun to train, and leaves nothing that would keep it from being started again.
    """
    for name in ("first", "again"):
        environment = {"SMULE_ROLE": "b", "SMULE_RENDEZVOUS": f"file://{tmp_path}/{name}"}
        program = Started(long_problem, tmp_path, environment=environment)
        wait_until(partial(has_introduced_itself, tmp_path / f"{name}.smule"))
        interrupted(program)
        assert list((tmp_path / "run").rglob("record.jsonl")) == []
