"""A dealer that serves one run after another: a run that fails is one line in its log, and the next one is served."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts_folders import PEER, Folders
from hosts_network import Network
from hosts_processes import HostProcess
from hosts_run import NAMES, RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire

_LOST = "level=WARNING source=smule_crypten.processes.dealing"


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
