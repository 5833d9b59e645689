"""Two processes with the same output folder: the second one ends before it writes anything."""

from __future__ import annotations

import time
from pathlib import Path

from hosts_folders import Folders
from hosts_network import ROLES, Network
from hosts_run import RUN_SECONDS, HostRun


def test_a_second_party_in_the_same_folder(network: Network, tmp_path: Path) -> None:
    """It says so with exit code 5; the first one, which waits for the others, completes as if nothing had been."""
    folders = Folders(tmp_path, network)
    folders.change("a", launch__join_seconds=RUN_SECONDS)
    with HostRun(network, folders) as run:
        run.start("a")
        first = run.processes["a"]
        until = time.monotonic() + RUN_SECONDS
        while not (folders.output("a") / "run.json").exists():
            assert time.monotonic() < until, run.logs()
            assert first.wait(0.05) is None, run.logs()
        run.start("a")
        assert run.wait() == {"a": 5}, run.logs()
        assert "party_a is in use by another run; wait until that has ended, or set another folder" in (
            run.processes["a"].error
        )
        run.processes["a"] = first
        run.start("dealer", "b")
        assert run.wait() == dict.fromkeys(ROLES, 0), run.logs()
