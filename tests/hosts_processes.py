"""Starting, disturbing and awaiting the processes of a run.

A process is forked from a server that has imported everything already, moves to its host, and then runs the command as
if it had been typed there; that saves seconds for each process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from smule_crypten.fork_server import process_context, start

_CLONE_NEWNET = 0x40000000

Command = Callable[[], None]


class Instrument(Protocol):
    """Something that watches or disturbs a process from within."""

    def arm(self, connection: Connection) -> None:
        """Called in the process before its command; connection leads to HostProcess.connection."""

    def tell(self) -> None:
        """Called in the process when its command has ended."""


class HostProcess:
    """One running process. log_path gets all that it prints.

    Args:
        command: runs in the process, with arguments in sys.argv and folder as working directory.
        namespace: the network namespace to stand in.
        instrument: a tripwire or a spy.
        separate_errors: whether standard error goes into a file of its own, beside log_path, and not with the rest.
    """

    def __init__(
        self,
        command: Command,
        arguments: list[str],
        folder: Path,
        *,
        namespace: str | None = None,
        environment: Mapping[str, str] | None = None,
        instrument: Instrument | None = None,
        separate_errors: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("log_*.txt")))
        self.log_path = folder / f"log_{number}.txt"
        self._errors_path = folder / f"errors_{number}.txt" if separate_errors else self.log_path
        paths = (self.log_path, self._errors_path)
        for path in paths:
            path.touch()  # here, so that the next process in this folder takes another number
        context = process_context()
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_run,
            args=(command, arguments, folder, paths, namespace, dict(environment or {}), instrument, theirs),
        )
        start(self._process)
        theirs.close()

    def wait(self, seconds: float) -> int | None:
        """The exit code; None if the process still runs after so many seconds."""
        self._process.join(seconds)
        return self._process.exitcode

    def receive(self, seconds: float) -> Any:
        """What the process tells of itself."""
        assert self.connection.poll(seconds), f"it told nothing; the log says:\n{self.log}"
        return self.connection.recv()

    def wait_for_tripwire(self, seconds: float) -> None:
        """Return when the tripwire is reached. Unless it kills or stops the process, that waits there for go_on."""
        self.receive(seconds)

    def go_on(self) -> None:
        self.connection.send(None)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self._process.is_alive():
            with suppress(ProcessLookupError):
                self.send_signal(signal.SIGKILL)
        self._process.join()
        self.connection.close()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def errors(self) -> str:
        return self._errors_path.read_text()

    @property
    def error(self) -> str:
        """The line that says how it failed; empty if there is none."""
        return next((line for line in self.log.splitlines() if line.startswith("smule: error: ")), "")


def _run(
    command: Command,
    arguments: list[str],
    folder: Path,
    paths: tuple[Path, Path],
    namespace: str | None,
    environment: dict[str, str],
    instrument: Instrument | None,
    connection: Connection,
) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # the fork server holds it back
    if namespace is not None:
        _enter(namespace)
    for number, path in enumerate(paths, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["smule", *arguments]
    if instrument is None:
        command()
        return
    instrument.arm(connection)
    try:
        command()
    finally:
        instrument.tell()


def _enter(namespace: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
