"""Running functions in processes of their own: events while they run, results at the end, the first failure stops all.

CrypTen's own launcher reports success when a party fails and hangs on large results. Here every pipe is drained while
the processes run, a failure ends its siblings, and each traceback reaches the caller once.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import numpy as np

from smule_crypten.errors import PartyFailedError, PeerError, SmuleError
from smule_crypten.fork_server import CallersOutput, process_context, start

GRACE_SECONDS = 3.0
"""After the first failure, how long siblings may take to end by themselves, and again after SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """function(emit, *arguments) runs in its own process; function must be importable, arguments picklable."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    environment: Mapping[str, str]


class Blame(IntEnum):
    """Why a process failed, the most telling reason first."""

    ITSELF = 0
    PEER = 1
    STOPPED = 2


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a process ended: summary in one line, is_explained where that line says all that a user needs."""

    name: str
    summary: str
    traceback: str
    is_explained: bool
    exit_code: int
    blame: Blame


class Stopped(BaseException):
    """Raised inside a process that is told to stop, so that it cleans up and can say where it was."""


class _Child:
    def __init__(self, job: Job) -> None:
        context = process_context()
        self.name = job.name
        self.connection, theirs = context.Pipe(duplex=False)
        arguments = (CallersOutput(), theirs, job, {**os.environ, **job.environment})
        self.process = context.Process(target=_run_job, args=arguments, name=job.name, daemon=True)
        start(self.process)
        theirs.close()
        self.open = True
        self.was_told_to_stop = False
        self.succeeded = False
        self.result: Any = None
        self.failure: Failure | None = None

    def receive(self, on_event: Callable[[str, Any], None]) -> None:
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):  # OSError: it ended in the middle of a message
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
            summary = _how_it_ended(self.process.exitcode)
            self.failure = Failure(
                name=self.name,
                summary=summary,
                traceback=summary,
                is_explained=True,
                exit_code=PartyFailedError.exit_code,
                blame=Blame.STOPPED if self.was_told_to_stop else Blame.ITSELF,
            )

    def stop(self, number: signal.Signals) -> None:
        if self.process.is_alive() and self.process.pid is not None:
            self.was_told_to_stop = True
            with suppress(ProcessLookupError):  # forked processes are the server's children: one may be gone by now
                os.kill(self.process.pid, number)


def run_jobs(jobs: list[Job], on_event: Callable[[str, Any], None]) -> list[Any]:
    """Run all jobs at the same time; returns their results in order.

    Args:
        on_event: called in this process with the job's name for every event it emits.

    Raises:
        PartyFailedError: a job failed; the message is one line with the cause, exit_code is that of the cause. Where
            the line does not explain it, the notes hold every traceback once, the cause first.
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


def _drain(children: list[_Child], on_event: Callable[[str, Any], None]) -> None:
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


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}; the system does that when memory runs out"
    return f"ended without a word, exit code {exit_code}; see the output above"


def _combined(failures: list[Failure]) -> PartyFailedError:
    """What a process did itself comes before what followed from it."""
    ordered = sorted(failures, key=lambda failure: failure.blame)
    causes = [failure for failure in ordered if failure.blame == Blame.ITSELF] or ordered[:1]
    error = PartyFailedError("; ".join(f"{failure.name}: {failure.summary}" for failure in causes))
    error.exit_code = causes[0].exit_code
    if not all(failure.is_explained for failure in causes):
        for failure in ordered:
            error.add_note(f"{failure.name}:\n{failure.traceback}")
    return error


def _run_job(output: CallersOutput, connection: Connection, job: Job, environment: dict[str, str]) -> None:
    threading.Thread(target=_end_with_the_parent, name="parent watch", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops everybody
    signal.signal(signal.SIGTERM, _raise_stopped)
    os.environ.clear()  # that of the fork server, as old as the first run in the parent
    os.environ.update(environment)
    np.random.seed()  # all forks would begin with the server's state; a user's unseeded loader must not repeat itself
    try:
        result = job.function(lambda event: connection.send(("event", event)), *job.arguments)
        connection.send(("result", result))
    except BaseException as error:
        connection.send(("failure", _failure(job.name, error)))
        raise SystemExit(1) from None
    finally:
        connection.close()


def _end_with_the_parent() -> None:
    """A parent that is killed cannot stop anybody; whoever goes on would write into the folder of the next run."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped("stopped because another process failed")


def _failure(name: str, error: BaseException) -> Failure:
    is_explained = isinstance(error, SmuleError)
    first_line = next(iter(str(error).splitlines()), "")
    return Failure(
        name=name,
        summary=str(error) if is_explained else f"{type(error).__name__}: {first_line}",
        traceback="".join(traceback.format_exception(error)).rstrip(),
        is_explained=is_explained,
        exit_code=error.exit_code if isinstance(error, SmuleError) else PartyFailedError.exit_code,
        blame=_blame(error),
    )


def _blame(error: BaseException) -> Blame:
    if isinstance(error, Stopped):
        return Blame.STOPPED
    return Blame.PEER if isinstance(error, PeerError) else Blame.ITSELF
