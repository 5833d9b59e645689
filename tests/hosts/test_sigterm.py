"""SIGTERM, as service managers and batch systems send it: each process ends as on Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

from hosts_folders import Folders
from hosts_network import Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire


def test_sigterm_in_the_middle_of_a_run(network: Network, tmp_path: Path) -> None:
    """A party ends with code 130, the other one with that of another try; the run goes on, and the dealer still waits.

    A dealer that waits ends in the same way.
    """
    folders = Folders(tmp_path, network)
    folders.change("dealer", runs=None)
    with HostRun(network, folders) as run:
        run.start(instruments={"a": Tripwire("wait", "training", 3)})
        a, b, dealer = (run.processes[role] for role in ("a", "b", "dealer"))
        a.wait_for_tripwire(RUN_SECONDS)
        a.send_signal(signal.SIGTERM)
        assert (a.wait(RUN_SECONDS), b.wait(RUN_SECONDS)) == (130, 6), run.logs()
        assert "smule: interrupted. Next: start the same command again, at all sides: the run goes on" in a.log
        assert "gave up: KeyboardInterrupt" in b.error
        assert ". Next: start the same command again, at all sides: the run goes on from the last" in b.error
        run.start("a", "b")
        assert [run.processes[role].wait(RUN_SECONDS) for role in "ab"] == [0, 0], run.logs()
        assert dealer.wait(0.0) is None
        dealer.send_signal(signal.SIGTERM)
        assert dealer.wait(RUN_SECONDS) == 130, run.logs()
        assert "smule: interrupted" in dealer.log
