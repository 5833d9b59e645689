"""Processes come from one server, and still see the world of their caller."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

import launcher_jobs
import pytest

from smule_crypten.fork_server import process_context
from smule_crypten.party.launcher import Job, run_jobs


def outcome(function: Any, **environment: str) -> Any:
    job = Job(name="a job", function=function, environment=environment)
    return run_jobs([job], lambda sender, event: None)[0]


def test_a_process_is_forked_where_everything_is_imported() -> None:
    """Protects: no process imports PyTorch again; the server that forks has one thread, so that none holds a lock."""
    first, second = outcome(launcher_jobs.origins), outcome(launcher_jobs.origins)
    assert first == second
    assert first["torch was there"]
    assert first["threads of the parent"] == 1
    assert first["parent"] != os.getpid()


def test_no_two_processes_share_a_random_state() -> None:
    """Protects: what a user's own code draws without a seed differs between two forks, from every global source."""
    first, second = outcome(launcher_jobs.drawn), outcome(launcher_jobs.drawn)
    assert {source for source, value in first.items() if value == second[source]} == set()


def test_what_changed_since_the_server_started(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Protects: environment, folder, path and output are those of the caller at the time of the call."""
    outcome(launcher_jobs.origins)
    monkeypatch.setenv("SET_LATER", "yes")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = outcome(launcher_jobs.surroundings, OF_THE_JOB="too")
    assert (found["environment"]["SET_LATER"], found["environment"]["OF_THE_JOB"]) == ("yes", "too")
    assert "HOME" not in found["environment"]
    assert found["folder"] == str(tmp_path)
    assert str(tmp_path) in found["path"]
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("said\n", "complained\n")


def test_a_long_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Protects: where the server's socket has no room for its path, processes start as new interpreters."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert isinstance(process_context(), SpawnContext)
    assert outcome(launcher_jobs.surroundings)["folder"] == os.getcwd()
    assert capfd.readouterr().out == "said\n"


def test_the_server_ends_with_a_caller_that_is_killed() -> None:
    """Protects: nothing of a killed program is left, neither its processes nor the server that forked them."""
    program = (
        "import launcher_jobs, smule_crypten.fork_server as server\n"
        "from smule_crypten.party.launcher import Job, run_jobs\n"
        "server.PRELOADED = ('json',)\n"
        "job = Job(name='waiting', function=launcher_jobs.name_both_and_wait, environment={})\n"
        "run_jobs([job], lambda sender, event: print(*event['pids'], flush=True))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as started:
        assert started.stdout is not None
        pids = [int(pid) for pid in started.stdout.readline().split()]
        assert len(pids) == 2
        started.send_signal(signal.SIGKILL)
        for pid in pids:
            with suppress(ProcessLookupError), open(os.pidfd_open(pid), "rb") as process:
                assert select.select([process], [], [], 10)[0]
