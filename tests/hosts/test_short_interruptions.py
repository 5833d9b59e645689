"""A process is stopped, or cut off, for less than the deadline: the run goes on as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hosts_folders import Folders, check_results
from hosts_network import ROLES, Network
from hosts_run import HostRun
from hosts_tripwire import Tripwire

_DEADLINE_SECONDS = 5.0
_INTERRUPTION_SECONDS = 0.4 * _DEADLINE_SECONDS
"""Kernels that wait twice as long after each lost packet need about as long again until they try once more."""


@pytest.mark.parametrize("victim", ROLES)
@pytest.mark.parametrize("kind", ["stop", "cut"])
def test_shorter_than_the_deadline(
    kind: str, victim: str, network: Network, steps: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    """In the middle of an exchange, where everybody waits for the victim: all three end well, with all results."""
    if kind == "cut" and network.namespaces is None:
        pytest.skip("cutting off a host needs network namespaces: root and iproute2")
    folders = Folders(tmp_path, network, launch__deadline_seconds=_DEADLINE_SECONDS)
    folders.change("dealer", launch__deadline_seconds=_DEADLINE_SECONDS)
    with HostRun(network, folders) as run:
        middle = Tripwire("stop" if kind == "stop" else "wait", "exchange", steps[victim]["exchange"] // 2)
        run.start(instruments={victim: middle})
        _interrupt(kind, victim, network, run)
        assert run.wait() == dict.fromkeys(ROLES, 0), run.logs()
        for role in ROLES:
            assert "resumed" not in run.processes[role].log
        check_results(folders)


def _interrupt(kind: str, victim: str, network: Network, run: HostRun) -> None:
    process = run.processes[victim]
    bystander = run.processes["a" if victim == "b" else "b"]
    process.wait_for_tripwire(60.0)
    if kind == "stop":
        assert bystander.wait(_INTERRUPTION_SECONDS) is None, run.logs()
        process.send_signal(signal.SIGCONT)
        return
    network.cut(victim)
    try:
        process.go_on()
        assert bystander.wait(_INTERRUPTION_SECONDS) is None, run.logs()
    finally:
        network.mend(victim)
