"""One ledger for a peer over many runs, each in processes of its own."""

from __future__ import annotations

import signal
from pathlib import Path

from hosts_folders import NUM_QUERIES, Folders, read_lines
from hosts_network import ROLES, Network
from hosts_run import HostRun
from hosts_tripwire import Tripwire

from smule_crypten.exchange.disclosures import locked_ledger


def _entries(folders: Folders) -> list[tuple[str, int]]:
    """Run and number of each query, and that all went to one peer."""
    entries = read_lines(folders.folder("a") / "ledger.jsonl")
    assert len({entry["peer"] for entry in entries}) == 1
    return [(entry["run"], entry["query_id"]) for entry in entries]


def test_two_runs_on_one_ledger(network: Network, tmp_path: Path) -> None:
    """A run that goes on is charged once, the next run is charged on top of it, in another output folder too."""
    folders = Folders(tmp_path, network)
    folders.change("a", budget__ledger="ledger.jsonl", budget__max_queries_total=5 * NUM_QUERIES)
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 2)})
        assert run.wait()["b"] == -signal.SIGKILL
        assert [number for _, number in _entries(folders)] == [1, 2]
        run.complete()
        first = _entries(folders)[0][0]
        assert _entries(folders) == [(first, number) for number in (1, 2, 3)]

        for role in "ab":
            folders.change(role, output_dir="second")
        run.start()
        assert run.wait() == {"a": 11, "b": 6, "dealer": 6}, run.logs()
        assert f"budget.max_queries_total={5 * NUM_QUERIES} leaves 0" in run.processes["a"].error
        second = _entries(folders)[-1][0]
        assert second != first
        assert _entries(folders)[3:] == [(second, 1), (second, 2)]
        folders.change("a", budget__max_queries_total=6 * NUM_QUERIES)
        run.complete()
        assert _entries(folders)[3:] == [(second, 1), (second, 2), (second, 3)]


def test_a_ledger_in_use(network: Network, tmp_path: Path) -> None:
    """A second run that would count by the same ledger at the same time ends before it meets anybody."""
    folders = Folders(tmp_path, network)
    folders.change("a", budget__ledger="ledger.jsonl")
    with HostRun(network, folders) as run:
        with locked_ledger(folders.folder("a") / "ledger.jsonl"):
            run.start("a")
            assert run.wait() == {"a": 5}, run.logs()
        assert "is in use by another run; wait until that has ended" in run.processes["a"].error
        run.complete(*ROLES)
