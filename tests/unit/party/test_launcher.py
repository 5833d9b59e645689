from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any

import launcher_jobs
import pytest

from smule_crypten.errors import DataError, OutputError, PartyFailedError, PeerDisconnectedError, UnshareableModelError
from smule_crypten.party.launcher import Job, run_jobs

STOP_SECONDS = 10.0
"""What the project promises: from the failure of one process to the end of all."""


def job(name: str, function: Any, *arguments: Any) -> Job:
    return Job(name=name, function=function, arguments=arguments, environment={"TOLD_TO_THE_CHILD": name})


class Failed:
    """The error of jobs that must fail, and how long the end took from the first event on."""

    def __init__(self, *jobs: Job) -> None:
        started: list[float] = []
        with pytest.raises(PartyFailedError) as caught:
            run_jobs(list(jobs), lambda sender, event: started.append(time.monotonic()))
        self.seconds = time.monotonic() - started[0] if started else 0.0
        self.exit_code = caught.value.exit_code
        self.line = str(caught.value)
        self.notes = "\n".join(getattr(caught.value, "__notes__", []))


def test_results_and_events_arrive_in_order() -> None:
    """Each job gets its arguments and environment; results come back by job, events by sender, large results whole."""
    events: list[tuple[str, Any]] = []
    jobs = [
        job("first", launcher_jobs.report, 1),
        job("second", launcher_jobs.report, 10),
        job("third", launcher_jobs.return_bytes, 50 << 20),
    ]
    first, second, third = run_jobs(jobs, lambda sender, event: events.append((sender, event)))
    assert (first, second) == ((1, "first"), (10, "second"))
    assert third == bytes(50 << 20)
    assert [event["value"] for sender, event in events if sender == "first"] == [1, 2]
    assert [event["value"] for sender, event in events if sender == "second"] == [10, 11]


def test_ctrl_c_reaches_the_caller_only() -> None:
    """The processes are born deaf to SIGINT, so that none prints a traceback while it imports; the caller is not."""
    jobs = [job(name, launcher_jobs.blocked_signals) for name in ("first", "second")]
    for blocked in run_jobs(jobs, lambda sender, event: None):
        assert blocked == {signal.SIGINT}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_failure_stops_all_and_shows_each_traceback_once() -> None:
    """A bug in one job ends even a job that ignores SIGTERM; the cause comes first, with its exit code."""
    failed = Failed(
        job("stubborn", launcher_jobs.wait_stubbornly),
        job("patient", launcher_jobs.wait),
        job("faulty", launcher_jobs.fail, RuntimeError("bug\nwith details")),
    )
    assert failed.seconds < STOP_SECONDS
    assert failed.exit_code == 8
    assert failed.line == "faulty: RuntimeError: bug"
    assert failed.notes.count("Traceback (most recent call last)") == 2
    assert failed.notes.count("in wait\n") == 1
    assert failed.notes.index("in fail\n") < failed.notes.index("in wait\n")
    assert "stubborn:\nwas killed by SIGKILL" in failed.notes


def test_an_explained_error_is_one_line() -> None:
    """A user's mistake keeps its message and exit code; a job that only lost its peer adds nothing to it."""
    failed = Failed(
        job("party a", launcher_jobs.fail, PeerDisconnectedError("party b closed the connection")),
        job("party b", launcher_jobs.fail, UnshareableModelError("head (Softmax)", "no", "leave it out")),
    )
    assert failed.line == "party b: head (Softmax) cannot be evaluated on secret shares: no; leave it out"
    assert failed.exit_code == 4
    assert failed.notes == ""


def test_two_explained_errors_are_both_named() -> None:
    """Where both jobs fail for reasons of their own, the line holds both."""
    failed = Failed(
        job("party a", launcher_jobs.fail, DataError("no data")),
        job("party b", launcher_jobs.fail, OutputError("full")),
    )
    assert failed.line == "party a: no data; party b: full"
    assert failed.exit_code == 3


def test_a_lost_peer_follows_the_cause() -> None:
    """With an unexpected error at one party, the traceback of the other, who lost its peer, comes second."""
    failed = Failed(
        job("party a", launcher_jobs.fail, PeerDisconnectedError("party b closed the connection")),
        job("party b", launcher_jobs.fail, ZeroDivisionError("bug")),
    )
    assert failed.line == "party b: ZeroDivisionError: bug"
    assert failed.notes.index("ZeroDivisionError: bug") < failed.notes.index("party b closed the connection")


def test_a_killed_process_is_reported() -> None:
    """A process that cannot speak any more is named with the signal that ended it."""
    failed = Failed(
        job("party a", launcher_jobs.fail, PeerDisconnectedError("party b closed the connection")),
        job("party b", launcher_jobs.be_killed),
    )
    assert failed.exit_code == 8
    assert failed.line.startswith("party b: was killed by SIGKILL")
    assert "party a" not in failed.line


def test_half_a_message_is_no_result() -> None:
    """A process that dies while it speaks is reported like any other that was killed."""

    def wait_for_the_end(sender: str, event: Any) -> None:
        with suppress(ProcessLookupError), open(os.pidfd_open(event["pid"]), "rb") as process:
            select.select([process], [], [])

    with pytest.raises(PartyFailedError, match="party a: was killed by SIGALRM"):
        run_jobs([job("party a", launcher_jobs.die_in_the_middle_of_a_message)], wait_for_the_end)


def test_an_error_of_the_caller_stops_the_processes() -> None:
    """When an event cannot be handled, for example on a full disk, that error comes back and no process is left."""

    def refuse(sender: str, event: Any) -> None:
        raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        run_jobs([job("waiting", launcher_jobs.wait), job("talking", launcher_jobs.report, 1)], refuse)
    names = {child.name for child in multiprocessing.active_children()}
    assert names.isdisjoint({"waiting", "talking"})
