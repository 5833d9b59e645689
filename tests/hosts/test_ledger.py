"""One ledger for a peer over many runs, each in processes of its own."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from hosts_folders import NUM_QUERIES, Folders, read_lines
from hosts_network import ROLES, Network
from hosts_run import HostRun
from hosts_tripwire import Tripwire

from smule_crypten.mutual_learning.disclosures import locked_ledger


def _entries(folders: Folders) -> list[tuple[str, int]]:
    """Run and number of each query, and that all went to one peer."""
    entries = read_lines(folders.folder("a") / "ledger.jsonl")
    assert len({entry["peer"] for entry in entries}) == 1
    return [(entry["run"], entry["query_id"]) for entry in entries]


def test_two_runs_on_one_ledger(network: Network, tmp_path: Path) -> None:
    """A repeated exchange is charged, the next run is charged on top of it, in another output folder too."""
    folders = Folders(tmp_path, network)
    folders.change("a", disclosure__ledger="ledger.jsonl", disclosure__max_answers_total=6 * NUM_QUERIES)
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait()["b"] == -signal.SIGKILL
        assert [number for _, number in _entries(folders)] == [1, 2]
        run.complete()
        first = _entries(folders)[0][0]
        assert _entries(folders) == [(first, number) for number in (1, 2, 2, 3)]

        for role in "ab":
            folders.change(role, output_dir="second")
        run.start()
        assert run.wait() == {"a": 11, "b": 14, "dealer": 14}, run.logs()
        reason = f"disclosure.max_answers_total={6 * NUM_QUERIES} leaves {2 * NUM_QUERIES}; {7 * NUM_QUERIES} would do"
        assert reason in run.processes["a"].error
        assert len(_entries(folders)) == 4
        folders.change("a", disclosure__max_answers_total=7 * NUM_QUERIES)
        run.complete()
        second = _entries(folders)[-1][0]
        assert second != first
        assert _entries(folders)[4:] == [(second, 1), (second, 2), (second, 3)]


def test_a_peer_that_hangs_up_again_and_again(network: Network, tmp_path: Path) -> None:
    """72 answers for 24: each attempt at an exchange costs, and after the allowed repeats nothing is answered."""
    folders = Folders(tmp_path, network)
    folders.change("a", disclosure__repeats=1)
    ledger = folders.output("a") / "disclosures.jsonl"
    with HostRun(network, folders) as run:
        for attempts in (1, 2):
            run.start(instruments={"b": Tripwire("kill", "state", 2 if attempts == 1 else 1)})
            assert run.wait()["b"] == -signal.SIGKILL, run.logs()
            assert [(entry["query_id"], entry["attempt"]) for entry in read_lines(ledger)] == [
                (1, attempt) for attempt in range(1, attempts + 1)
            ]
        run.start()
        assert run.wait() == {"a": 11, "b": 14, "dealer": 14}, run.logs()
        assert "disclosure.repeats=1; set it to 2" in run.processes["a"].error
        assert len(read_lines(ledger)) == 2


def test_a_peer_that_lost_its_states(network: Network, tmp_path: Path) -> None:
    """It does not make the other one begin again: both end with a code of its own, and nothing is lost or answered.

    Where the operator accepts it, the run begins again, charged, and later states are kept until it is there again.
    """
    folders = Folders(tmp_path, network)
    states = folders.output("a") / "states"
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 4)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        before = {path: path.read_bytes() for path in states.iterdir()}
        ledger = read_lines(folders.output("a") / "disclosures.jsonl")
        shutil.rmtree(folders.output("b") / "states")
        run.start()
        exit_codes = run.wait()
        assert (exit_codes["a"], exit_codes["b"]) == (12, 12), run.logs()
        assert "this side has completed 3 exchange(s), the other one 0" in run.processes["a"].error
        assert "launch.accept_restart" in run.processes["a"].error
        assert {path: path.read_bytes() for path in states.iterdir()} == before
        assert read_lines(folders.output("a") / "disclosures.jsonl") == ledger

        folders.change("a", launch__accept_restart=True)
        run.start()
        assert run.wait()["a"] == 11, run.logs()
        assert "3 more would be, disclosure.repeats=2; set it to 3" in run.processes["a"].error
        for role in "ab":
            folders.change(role, disclosure__repeats=3)
        # Its steps: state 0 is written, two are set aside, state 1 would be written.
        run.start(instruments={"a": Tripwire("kill", "state", 4)})
        assert run.wait()["a"] == -signal.SIGKILL, run.logs()
        assert {path.name for path in states.glob("exchange_*")} == {
            "exchange_0.pt",
            "exchange_2.set_aside.pt",
            "exchange_3.set_aside.pt",
        }


def test_a_ledger_in_use(network: Network, tmp_path: Path) -> None:
    """A second run that would count by the same ledger at the same time ends before it meets anybody."""
    folders = Folders(tmp_path, network)
    folders.change("a", disclosure__ledger="ledger.jsonl")
    with HostRun(network, folders) as run:
        with locked_ledger(folders.folder("a") / "ledger.jsonl"):
            run.start("a")
            assert run.wait() == {"a": 5}, run.logs()
        assert "is in use by another run; wait until that has ended" in run.processes["a"].error
        run.complete(*ROLES)
