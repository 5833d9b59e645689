"""Starting `smule` as a user does, looking at its processes and at what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import pytest
from hosts_processes import HostProcess

from smule_crypten.launch.train import main
from smule_crypten.transport.meeting import ENVIRONMENT_KEYS

PROGRAM = (str(Path(sys.executable).with_name("smule")),)
CRYPTENS_LAUNCHER = (sys.executable, "-m", "smule_crypten.launch.crypten_launcher")
TIMEOUT_SECONDS = 120.0
STOP_SECONDS = 10.0
"""What the project promises: from the failure of a party, or Ctrl-C, to the end of all processes."""


class Ended(NamedTuple):
    exit_code: int
    output: str
    errors: str


class MainRun(NamedTuple):
    """The run that several tests look at."""

    folder: Path
    ended: Ended


class Started:
    """A program in a process group of its own."""

    def __init__(
        self,
        overrides: Sequence[str],
        cwd: Path,
        *,
        program: Sequence[str] = PROGRAM,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT_KEYS}
        self.process = subprocess.Popen(
            [*program, *overrides],
            cwd=cwd,
            env={**inherited, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )

    def end(self, timeout: float = TIMEOUT_SECONDS) -> Ended:
        """Wait until the program ends; a process that it left behind is in orphans, and does not outlive this call."""
        try:
            output, errors = self.process.communicate(timeout=timeout)
            with suppress(AssertionError):  # Python's own helper of multiprocessing ends just after the program
                wait_until(lambda: not self.members(), timeout=2.0)
        finally:
            self.orphans = self.members()
            self._kill()
        return Ended(self.process.returncode, output, errors)

    def press_ctrl_c(self) -> None:
        """The terminal sends SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def _kill(self) -> None:
        if self.members():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def members(self) -> list[int]:
        """The living processes of the group: the program, parties and helpers."""
        return [pid for pid, group in _groups().items() if group == self.process.pid]

    def num_loaded(self, library: str) -> int:
        """How many of the processes have come so far in their imports that they hold this library."""
        return sum(library in _memory_map(pid) for pid in self.members())


def heed_ctrl_c() -> None:
    """As from an interactive shell. A background job ignores SIGINT, and what it starts inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(*overrides: str, cwd: Path, program: Sequence[str] = PROGRAM) -> Ended:
    return Started(overrides, cwd, program=program).end()


def run_here(*overrides: str, cwd: Path) -> Ended:
    """As run, but in this process, which saves the seconds of importing everything; holds what parties print, too."""
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryFile("w+") as output,
        TemporaryFile("w+") as errors,
        _going_to(output, 1),
        _going_to(errors, 2),
    ):
        for key in ENVIRONMENT_KEYS:
            patch.delenv(key, raising=False)
        patch.chdir(cwd)
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", errors)
        exit_code = call(patch, *overrides)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read())
        return Ended(exit_code, *texts)


@contextmanager
def _going_to(file: IO[str], descriptor: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


class InAShell:
    """`smule` as typed in a shell of its own, in a process that is forked: its imports are done already."""

    def __init__(self, overrides: Sequence[str], folder: Path, *, environment: Mapping[str, str]) -> None:
        self._process = HostProcess(main, list(overrides), folder, environment=environment, separate_errors=True)

    def end(self) -> Ended:
        try:
            exit_code = self._process.wait(TIMEOUT_SECONDS)
            assert exit_code is not None, self._process.log
            return Ended(exit_code, self._process.log, self._process.errors)
        finally:
            self._process.end()


def call(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int:
    """`smule` in this process, which saves the seconds of importing everything; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["smule", *overrides])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # set by the program; restored after the test
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def wait_until(condition: Callable[[], bool], timeout: float = TIMEOUT_SECONDS) -> None:
    """Look again and again; fails the test when it takes too long."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {timeout:g} seconds"
        time.sleep(0.02)


def digest_of(folder: Path) -> dict[str, str]:
    """Name -> digest of every file below folder, to see whether something was touched."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _groups() -> dict[int, int]:
    """Process id -> process group, of all processes that have not ended."""
    groups = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it ended just now
                continue
            if state != "Z":
                groups[int(entry.name)] = int(group)
    return groups


def _memory_map(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""
