"""Questions about public samples between hosts: both opt in, bytes are exact, and a run that was cut off goes on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hosts_folders import EXCHANGES, NUM_QUERIES, PEER, Folders, read_lines, read_weights
from hosts_network import Network
from hosts_run import HostRun, SimulatedRun
from hosts_tripwire import Tripwire

PUBLIC, POOL = 6, 16
COUNTS = [6, 6, 4]
"""Of POOL samples, PUBLIC in each of three exchanges as long as some are left."""
CLASSES = 4


def write_pool(path: Path, *, seed: int = 7, labels: int = 2) -> None:
    """Noise of the shape of the parties' images; its labels are read and mean nothing."""
    images = np.random.default_rng(seed).integers(0, 256, size=(POOL, 1, 8, 8), dtype=np.uint8)
    targets = np.arange(POOL) % labels
    np.savez(path, x_train=images, y_train=targets, x_test=images, y_test=targets)


def side() -> dict[str, Any]:
    return {"name": "npz", "path": "pool.npz", "num_queries": PUBLIC}


@pytest.fixture
def folders(network: Network, tmp_path: Path) -> Folders:
    """Both opt in; party b adds noise of its own."""
    made = Folders(tmp_path, network, "two_party", public_pool=side())
    made.change("b", disclosure__logit_noise=0.5)
    for role in PEER:
        write_pool(made.folder(role) / "pool.npz", labels=2 if role == "a" else 3)
    return made


def test_both_ask_and_answer(folders: Folders, network: Network) -> None:
    """Each line of the ledger says which answers are public; 4 bytes a logit cross, one message each way an exchange;
    other labels of the pool at one side do not matter."""
    with HostRun(network, folders) as run:
        run.complete()
    for role, peer in PEER.items():
        result = json.loads((folders.output(role) / "party.json").read_text())
        assert result["bytes_by_phase"]["public"] == 2 * sum(COUNTS) * 4 * CLASSES
        assert (result["public_made"], result["public_answered"]) == (sum(COUNTS), sum(COUNTS))
        ledger = read_lines(folders.output(role) / "disclosures.jsonl")
        expected = [line for count in COUNTS for line in (("first", NUM_QUERIES), ("public", count))]
        assert [(entry["kind"], entry["num_samples"]) for entry in ledger] == expected
        assert {entry["to_party"] for entry in ledger} == {peer}
        budget = result["budget"]
        assert (budget["public"], budget["charged"]) == (sum(COUNTS), sum(COUNTS) + len(EXCHANGES) * NUM_QUERIES)
        epochs = [line for line in read_lines(folders.output(role) / "record.jsonl") if line["queries_made"]]
        assert [line["public_made"] for line in epochs] == COUNTS
        shown = (folders.output(role) / "report.html").read_text()
        assert "6 public" in shown
        assert f"party {role} asked about {sum(COUNTS)}, answered in the clear" in shown


def test_refused_unless_both_have_the_same_pool(folders: Folders, network: Network) -> None:
    """One line says who does not opt in, or that the pools differ; nothing was asked."""
    write_pool(folders.folder("b") / "pool.npz", seed=8)
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == {"a": 13, "b": 13}, run.logs()
        for role in PEER:
            assert "public_pool: the pools hold other samples" in run.processes[role].error
        folders.change("b", public_pool={})
        run.start()
        assert run.wait() == {"a": 13, "b": 13}, run.logs()
        for role, other in (("a", "this party"), ("b", "party a")):
            assert f"public_pool: {other} alone allows public questions" in run.processes[role].error
            assert run.processes[role].error.count("\n") <= 1
    assert not any((folders.output(role) / "disclosures.jsonl").exists() for role in PEER)


def _simulated(root: Path) -> SimulatedRun:
    """Each may give as many answers as one repeated exchange takes, if it need not pay for public ones again."""
    root.mkdir(exist_ok=True)
    write_pool(root / "pool.npz")
    limit = (len(EXCHANGES) + 1) * NUM_QUERIES + sum(COUNTS)
    disclosure = [
        f"++party_{role}.disclosure.{key}={value}"
        for role in PEER
        for key, value in (("max_answers_total", limit), ("logit_noise", 0.5))
    ]
    pool = [f"public_pool.{key}={value}" for key, value in (side() | {"path": root / "pool.npz"}).items()]
    return SimulatedRun(root, *pool, *disclosure, scheme="two_party")


def test_a_run_that_was_cut_off_asks_the_same_again(tmp_path: Path) -> None:
    """Party b is killed before it has saved the second exchange: its public answers are the same ones, with the same
    noise, and are charged once; networks and bytes are those of a run without interruption, bit for bit."""
    with _simulated(tmp_path / "undisturbed") as run:
        run.complete()
    with _simulated(tmp_path / "cut_off") as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        run.complete()
    for role in PEER:
        there, here = (tmp_path / name / "run" / f"party_{role}" for name in ("undisturbed", "cut_off"))
        expected = read_weights(there / "model.pt")
        assert all(torch.equal(expected[key], value) for key, value in read_weights(here / "model.pt").items())
        phases = [json.loads((folder / "party.json").read_text())["bytes_by_phase"] for folder in (there, here)]
        assert phases[0]["public"] == phases[1]["public"] == 2 * sum(COUNTS) * 4 * CLASSES
        entries = [
            (entry["query_id"], entry["attempt"], entry["kind"]) for entry in read_lines(here / "disclosures.jsonl")
        ]
        assert entries == [
            (1, 1, "first"),
            (1, 1, "public"),
            (2, 1, "first"),
            (2, 1, "public"),
            (2, 2, "first"),
            (3, 1, "first"),
            (3, 1, "public"),
        ]


@pytest.mark.parametrize(
    ("role", "phase", "count"),
    [("b", "state", 1), ("a", "exchange", 2), ("b", "exchange", 12)],
    ids=["before the first state", "before it is asked", "in the secure exchange"],
)
def test_wherever_it_was_cut_off_answers_count_once(tmp_path: Path, role: str, phase: str, count: int) -> None:
    """One public line an exchange at each side, whoever is killed and when, and the bytes of one run."""
    with _simulated(tmp_path / "cut_off") as run:
        run.start(instruments={role: Tripwire("kill", phase, count)})
        assert run.wait()[role] == -signal.SIGKILL, run.logs()
        run.complete()
    for name in PEER:
        folder = tmp_path / "cut_off" / "run" / f"party_{name}"
        entries = [entry for entry in read_lines(folder / "disclosures.jsonl") if entry["kind"] == "public"]
        assert [(entry["query_id"], entry["num_samples"]) for entry in entries] == list(enumerate(COUNTS, 1))
        result = json.loads((folder / "party.json").read_text())
        assert result["bytes_by_phase"]["public"] == 2 * sum(COUNTS) * 4 * CLASSES
        assert result["budget"]["public"] == sum(COUNTS)
