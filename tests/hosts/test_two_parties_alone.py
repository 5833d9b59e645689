"""Between two hosts without a dealer: two commands and one open port, from start to prediction."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hosts_folders import NUM_QUERIES, PEER, Folders, check_results, read_lines
from hosts_network import Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire

from smule_crypten.launch.predict import main as predict_main
from smule_crypten.training.checkpoint import load_model

ALONE = "two_party"
ENDED_WELL = dict.fromkeys(PEER, 0)


def test_a_party_that_comes_late_and_one_that_never_comes(network: Network, tmp_path: Path) -> None:
    """Party a listens on one port, on which alone; it waits for as long as it was told, and says for whom."""
    folders = Folders(tmp_path, network, ALONE)
    with HostRun(network, folders) as run:
        run.start("a")
        assert run.processes["a"].wait(RUN_SECONDS) == 6, run.logs()
        assert "party b did not come within 6 seconds" in run.processes["a"].error
        folders.change("a", launch__join_seconds=60.0)
        run.start("a")
        _wait_for_log(run, "a", "waiting for=party b")
        if network.namespaces is not None:
            assert _listening_ports(network.namespaces["a"]) == [network.listening["a"].rpartition(":")[2]]
        run.start("b")
        assert run.wait() == ENDED_WELL, run.logs()
        assert not any("dealer" in line for line in run.logs().splitlines() if "dealer_bytes=0" not in line)
    check_results(folders)


def _wait_for_log(run: HostRun, role: str, text: str) -> None:
    process = run.processes[role]
    while text not in process.log:
        assert process.wait(0.05) is None, run.logs()


def _listening_ports(namespace: str) -> list[str]:
    command = ["ip", "netns", "exec", namespace, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
    rows = [
        line.split() for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ]
    return [str(int(row[1].rpartition(":")[2], 16)) for row in rows if row[3] == "0A"]


def test_a_certificate_that_is_not_the_pinned_one(network: Network, tmp_path: Path) -> None:
    """Party b meets another certificate than the one it pinned and refuses; party a names who did not accept it."""
    folders = Folders(tmp_path, network, ALONE, launch__join_seconds=3.0)
    folders.renew("a")
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == {"a": 6, "b": 10}, run.logs()
        assert "shows a certificate that is not" in run.processes["b"].error
        assert "turned away" in run.processes["a"].log


def test_a_dealer_has_no_place_in_the_file(network: Network, tmp_path: Path) -> None:
    """One line says that the scheme has none; without one, a scheme that needs it says so, and which does not."""
    folders = Folders(tmp_path, network, ALONE)
    dealer = {"address": "192.0.2.1:7702", "certificate": "hospital-b.crt.pem"}
    folders.change("a", connection__dealer=dealer)
    folders.change("b", scheme={"name": "lean"})
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == {"a": 2, "b": 2}, run.logs()
        assert "connection.dealer: scheme=two_party has no dealer" in run.processes["a"].error
        assert "connection.dealer: scheme=lean needs a dealer" in run.processes["b"].error
        assert "or set scheme=two_party at both sides" in run.processes["b"].error


@pytest.fixture(scope="module")
def resumed(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A run of which party b was killed after the second exchange, and that both then completed."""
    folders = Folders(tmp_path_factory.mktemp("resumed"), network, ALONE)
    for role in PEER:
        folders.change(role, disclosure__ledger="ledger.jsonl")
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait() == {"a": 6, "b": -signal.SIGKILL}, run.logs()
        assert "party b" in run.processes["a"].error
        run.complete()
        for role in PEER:
            (start,) = re.findall(r"resumes_after_exchange=(\w+)", run.processes[role].log)
            assert start == "1"
    return folders


def test_a_run_that_was_cut_off_goes_on(resumed: Folders) -> None:
    """From the last exchange that both had saved, with both networks trained; the summary knows no dealer."""
    for role in PEER:
        assert load_model(resumed.output(role) / "model.pt").input_shape == (1, 8, 8)
        summary = json.loads((resumed.output(role) / "summary.json").read_text())
        assert (summary["scheme"], summary["provider"]) == (ALONE, None)
        assert summary["parties"][role]["dealer_bytes"] == 0
        assert "provider" not in (resumed.output(role) / "report.html").read_text().partition("<details>")[0]


def test_the_ledger_charges_what_was_repeated(resumed: Folders) -> None:
    """Each attempt is a line, and the exchange that was cut off has two."""
    for role, peer in PEER.items():
        entries = read_lines(resumed.folder(role) / "ledger.jsonl")
        assert [(entry["query_id"], entry["attempt"]) for entry in entries] == [(1, 1), (2, 1), (2, 2), (3, 1)]
        assert {(entry["to_party"], entry["num_samples"]) for entry in entries} == {(peer, NUM_QUERIES)}
        budget = json.loads((resumed.output(role) / "party.json").read_text())["budget"]
        assert (budget["charged"], budget["repeats_used"]) == (4 * NUM_QUERIES, 1)


def test_predict(resumed: Folders, network: Network) -> None:
    """Party a asks and party b answers, by two commands; the answers are those of b's network, and they are charged."""
    folder, charged = resumed.folder("a"), len(read_lines(resumed.folder("b") / "ledger.jsonl"))
    with np.load(folder / "data.npz") as data:
        images = data["x_test"][:5]
    np.savez(folder / "images.npz", images=images)
    commands, asked = dict.fromkeys(PEER, predict_main), ["input=images.npz", "output=predictions.npz"]
    with HostRun(network, resumed, commands, {"a": asked}) as run:
        run.complete()
        assert "from the dealer" not in run.logs()
    found = np.load(folder / "predictions.npz")
    for name, role in (("own", "a"), ("peer", "b")):
        expected = load_model(resumed.output(role) / "model.pt")(torch.from_numpy(images)).softmax(1).detach().numpy()
        np.testing.assert_allclose(found[f"{name}_probabilities"], expected, atol=0.05)
    assert json.loads((folder / "predictions.json").read_text())["dealer_bytes"] == 0
    new = read_lines(resumed.folder("b") / "ledger.jsonl")[charged:]
    assert sum(entry["num_samples"] for entry in new) >= len(images)
