"""A dealer that serves one run after another: a run that fails is one line in its log, and the next one is served."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_sides import free_port
from hosts_folders import PEER, Folders
from hosts_network import Network
from hosts_processes import HostProcess
from hosts_run import NAMES, RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire

from smule_crypten.dealing.serving import serve_runs
from smule_crypten.errors import PeerTimeoutError
from smule_crypten.launch.side_file import read_dealer
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import Meeting

_LOST = "level=WARNING source=smule_crypten.dealing.serving"


def _lines(dealer: HostProcess, text: str) -> list[str]:
    return [line for line in dealer.log.splitlines() if text in line]


def _wait_for(is_true: Callable[[], bool], dealer: HostProcess) -> None:
    until = time.monotonic() + RUN_SECONDS
    while not is_true():
        assert time.monotonic() < until, dealer.log
        dealer.wait(0.05)


@pytest.mark.parametrize("phase", ["handshake", "exchange", "training"])
@pytest.mark.parametrize("victim", PEER)
def test_a_party_is_killed(
    victim: str, phase: str, network: Network, steps: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    """The dealer says in one line which run failed by whom, goes on by itself, and deals to the same two again."""
    folders = Folders(tmp_path, network)
    folders.change("dealer", runs=None)
    with HostRun(network, folders) as run:
        run.start(instruments={victim: Tripwire("kill", phase, steps[victim][phase] // 2)})
        dealer = run.processes["dealer"]
        assert run.processes[victim].wait(RUN_SECONDS) == -signal.SIGKILL, run.logs()
        assert run.processes[PEER[victim]].wait(RUN_SECONDS) == 6, run.logs()
        _wait_for(lambda: bool(_lines(dealer, "run failed: ")), dealer)
        run.start(*PEER)
        assert [run.processes[role].wait(RUN_SECONDS) for role in PEER] == [0, 0], run.logs()
        _wait_for(lambda: bool(_lines(dealer, "run completed exchanges=")), dealer)
        (line,) = _lines(dealer, "run failed: ")
        assert _LOST in line
        assert NAMES[victim] in line.partition("run failed: ")[2]
        assert dealer.wait(0.0) is None


def test_a_party_is_killed_before_the_other_one_came(network: Network, tmp_path: Path) -> None:
    """No run has begun then; the dealer says who came and left, and takes it back when it comes again."""
    folders = Folders(tmp_path, network)
    folders.change("dealer", runs=None)
    # Its folder is probed, the run gets its identity, the meeting begins, and it is connected to the dealer.
    met_the_dealer = Tripwire("kill", "handshake", 4)
    with HostRun(network, folders) as run:
        run.start("dealer", "b", instruments={"b": met_the_dealer})
        dealer = run.processes["dealer"]
        assert run.processes["b"].wait(RUN_SECONDS) == -signal.SIGKILL, run.logs()
        _wait_for(lambda: bool(_lines(dealer, "party b left before all had come: ")), dealer)
        run.start(*PEER)
        assert [run.processes[role].wait(RUN_SECONDS) for role in PEER] == [0, 0], run.logs()
        _wait_for(lambda: bool(_lines(dealer, "run completed exchanges=")), dealer)
        assert _lines(dealer, "run failed: ") == []


def test_an_idle_dealer_logs_changes_only(
    tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line when it begins to wait; then silence, however often it begins anew, until something else happens."""
    nobody, stranger = "party a and party b did not come within 6 seconds", "turned away: 192.0.2.1: no TLS"
    waits = [nobody, nobody, f"{nobody}; {stranger}", f"{nobody}; {stranger}", nobody]
    ends: list[BaseException] = [*map(PeerTimeoutError, waits), KeyboardInterrupt()]

    def meet(meeting: Meeting) -> dict[str, Link]:
        assert meeting.listener is not None
        meeting.listener.close()
        raise ends.pop(0)

    monkeypatch.setattr(Meeting, "meet", meet)
    folders = Folders(tmp_path, network)
    folders.change("dealer", listen=f"127.0.0.1:{free_port()}")
    config = read_dealer([f"+dealer={folders.side_file('dealer')}"])
    with caplog.at_level("INFO", logger="smule_crypten"), pytest.raises(KeyboardInterrupt):
        serve_runs(config)
    *waited, closed = [record.getMessage().partition(": ")[0] for record in caplog.records]
    assert waited == [
        f"waiting for=party a,party b listening={config.listen}",
        "nobody to deal to",
        "nobody to deal to",
    ]
    assert closed.startswith("audit log closed path=")
    assert stranger in caplog.records[1].getMessage()
