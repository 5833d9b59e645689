"""Running functions in spawned processes: events while they run, results at the end, the first failure stops all.

CrypTen's own launcher reports success when a party fails and hangs on large results. Here every pipe is drained while
the processes run, a failure ends its siblings, and each traceback reaches the caller once.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from smule_crypten.errors import PartyFailedError, PeerError, SmuleError

Event = dict[str, Any]
Emit = Callable[[Event], None]

GRACE_SECONDS = 5.0
"""After the first failure, how long siblings may take to end by themselves, and again after SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """function(emit, *arguments) runs in its own process; function must be importable, arguments picklable."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a process ended. details is the traceback, or the message alone for an error that explains itself."""

    name: str
    summary: str
    details: str
    exit_code: int
    is_consequence: bool


class Stopped(BaseException):
    """Raised inside a process that is told to stop, so that it cleans up and can say where it was."""


class _Child:
    def __init__(self, job: Job) -> None:
        context = mp.get_context("spawn")
        self.name = job.name
        self.connection, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_run_job, args=(theirs, job), name=job.name, daemon=True)
        self.process.start()
        theirs.close()
        self.open = True
        self.succeeded = False
        self.result: Any = None
        self.failure: Failure | None = None

    def receive(self, on_event: Callable[[str, Event], None]) -> None:
        try:
            kind, value = self.connection.recv()
        except EOFError:
            self._close()
            return
        if kind == "event":
            on_event(self.name, value)
        elif kind == "result":
            self.succeeded, self.result = True, value
        else:
            self.failure = value

    def _close(self) -> None:
        self.open = False
        self.connection.close()
        if not self.succeeded and self.failure is None:
            self.process.join(GRACE_SECONDS)
            reason = f"ended without a word, exit code {self.process.exitcode}"
            self.failure = Failure(
                name=self.name,
                summary=reason,
                details=reason,
                exit_code=PartyFailedError.exit_code,
                is_consequence=False,
            )

    def stop(self, number: signal.Signals) -> None:
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)


def run_jobs(jobs: list[Job], on_event: Callable[[str, Event], None]) -> list[Any]:
    """Run all jobs at the same time; returns their results in order.

    Args:
        on_event: called in this process with the job's name for every event it emits.

    Raises:
        PartyFailedError: a job failed; the message holds every traceback once, exit_code is that of the cause.
        KeyboardInterrupt: after the processes were stopped.
    """
    children: list[_Child] = []
    try:
        for job in jobs:
            children.append(_Child(job))
        _drain(children, on_event)
    finally:
        for child in children:
            child.stop(signal.SIGKILL)
            child.process.join()
    failures = [child.failure for child in children if child.failure is not None]
    if failures:
        raise _combined(failures)
    return [child.result for child in children]


def _drain(children: list[_Child], on_event: Callable[[str, Event], None]) -> None:
    """Receive until every child has ended; after the first failure, stop the others in two steps."""
    stages = [signal.SIGTERM, signal.SIGKILL]
    next_stage_at: float | None = None
    while any(child.open for child in children):
        patience = None if next_stage_at is None else max(0.0, next_stage_at - time.monotonic())
        waiting = {child.connection: child for child in children if child.open}
        ready = wait(list(waiting), patience)
        for connection in ready:
            if isinstance(connection, Connection):
                waiting[connection].receive(on_event)
        if next_stage_at is None and any(child.failure for child in children):
            next_stage_at = time.monotonic() + GRACE_SECONDS
        elif next_stage_at is not None and time.monotonic() >= next_stage_at and stages:
            number = stages.pop(0)
            for child in children:
                child.stop(number)
            next_stage_at = time.monotonic() + GRACE_SECONDS


def _combined(failures: list[Failure]) -> PartyFailedError:
    """The cause first; a party that only lost its peer comes after it."""
    ordered = sorted(failures, key=lambda failure: failure.is_consequence)
    error = PartyFailedError("\n".join(f"{failure.name}: {failure.details}" for failure in ordered))
    error.exit_code = ordered[0].exit_code
    return error


def _run_job(connection: Connection, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops everybody in order
    signal.signal(signal.SIGTERM, _raise_stopped)
    os.environ.update(job.environment)
    try:
        result = job.function(lambda event: connection.send(("event", event)), *job.arguments)
        connection.send(("result", result))
    except BaseException as error:
        connection.send(("failure", _failure(job.name, error)))
        raise SystemExit(1) from None
    finally:
        connection.close()


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped("stopped because another process failed")


def _failure(name: str, error: BaseException) -> Failure:
    summary = f"{type(error).__name__}: {error}"
    return Failure(
        name=name,
        summary=summary,
        details=str(error) if isinstance(error, SmuleError) else "".join(traceback.format_exception(error)).rstrip(),
        exit_code=error.exit_code if isinstance(error, SmuleError) else PartyFailedError.exit_code,
        is_consequence=isinstance(error, PeerError | Stopped),
    )
