"""A party of several processes beside a peer: `compute.devices`, started by the party itself or by torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hosts_folders import PEER, Folders, check_results, read_lines, read_weights
from hosts_network import Network
from hosts_processes import HostProcess, Instrument
from hosts_run import RUN_SECONDS, HostRun, SimulatedRun

from smule_crypten.errors import PartyFailedError

TWO = "compute.devices=2"
JOIN = "launch.join_seconds=60"
"""New processes import for seconds."""
ENDED_WELL = dict.fromkeys(PEER, 0)


class _OneOfTwo(SimulatedRun):
    """A simulation in the clear, of which party a is told more than party b."""

    def __init__(self, root: Path, *of_a: str) -> None:
        learning = ("training.augmentation.crop=1", "training.keep=best", "party_a.samples.unlabeled=15")
        super().__init__(root, *learning, JOIN, scheme="plaintext")
        self._of_a = of_a

    def _launch(self, role: str, instrument: Instrument | None) -> HostProcess:
        everything = self.overrides
        self.overrides = [*everything, *self._of_a] if role == "a" else everything
        try:
            return super()._launch(role, instrument)
        finally:
            self.overrides = everything


@pytest.mark.slow
def test_two_processes_end_as_one(tmp_path: Path) -> None:
    """A party that trains by two processes learns the same weights from the same answers, and so does its peer; only
    process 0 has written, and the other one is gone."""
    runs = {name: _OneOfTwo(tmp_path / name, *of_a) for name, of_a in (("one", ()), ("two", (TWO,)))}
    for run in runs.values():
        with run:
            run.complete()
    for role in PEER:
        one, two = (run.output(role) for run in runs.values())
        for name in ("standalone.pt", "model.pt"):
            weights, others = read_weights(one / name), read_weights(two / name)
            assert max(float((weights[key] - others[key]).abs().max()) for key in weights) < 1e-4
        assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
        lines = [len(read_lines(output / "record.jsonl")) for output in (one, two)]
        assert lines == [8, 8]
    alone, mutual = (read_weights(runs["two"].output("a") / name) for name in ("standalone.pt", "model.pt"))
    assert max(float((alone[key] - mutual[key]).abs().max()) for key in alone) > 0.01


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_worker(pid: int) -> bool:
    return b"smule_crypten.compute.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.slow
def test_a_killed_process_ends_the_party(network: Network, tmp_path: Path) -> None:
    """Between two exchanges: party a says which process is gone, in one line, and its peer does not wait."""
    training = {"training__epochs": 300, "training__standalone": False, "training__trust": "none"}
    folders = Folders(tmp_path, network, "two_party", launch__join_seconds=60.0, **training)
    with HostRun(network, folders, arguments={"a": [TWO]}) as run:
        run.start()
        while "exchange finished" not in (party := run.processes["a"]).log:
            assert party.wait(0.05) is None, run.logs()
        (worker,) = filter(_is_worker, _children(party.pid))
        os.kill(worker, signal.SIGKILL)
        assert party.wait(RUN_SECONDS) == PartyFailedError.exit_code, run.logs()
        assert "party a, process 1 was killed by SIGKILL" in party.error
        assert "Traceback" not in party.log
        assert run.wait()["b"] not in (None, 0)


@pytest.mark.slow
def test_torchrun_starts_the_processes(network: Network, tmp_path: Path) -> None:
    """Both run the command of party a; the second one serves the first, and the run leaves what any run leaves."""
    folders = Folders(tmp_path, network, "two_party", launch__join_seconds=60.0)
    party = [sys.executable, "-c", "from smule_crypten.launch.party import main; main()"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node=2"]
    command = [*torchrun, *party, f"+party={folders.side_file('a')}"]
    namespaced = [] if network.namespaces is None else ["ip", "netns", "exec", network.namespaces["a"]]
    with HostRun(network, folders) as run:
        run.start("b")
        party_a = subprocess.run(
            [*namespaced, *command, TWO], capture_output=True, text=True, timeout=120, cwd=folders.folder("a")
        )
        assert party_a.returncode == 0, party_a.stderr
        assert run.wait() == {"b": 0}, run.logs()
    check_results(folders)
    other = subprocess.run([*namespaced, *command], capture_output=True, text=True, timeout=120)
    assert "torchrun has started 2 processes, but compute.devices=1 times compute.nodes=1 are 1" in other.stderr
