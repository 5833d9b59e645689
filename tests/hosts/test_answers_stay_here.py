"""What the answers are like is the business of who asked: nothing of it crosses to who answered, nor to the dealer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from hosts_folders import NUM_QUERIES, PEER, Folders
from hosts_network import Network
from hosts_run import HostRun

from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.types import PeerPrediction

CHECKS = 3


@dataclass
class WrongAnswers:
    """Adds something to the first answers of each exchange, as if who answered had deviated."""

    added: Mapping[int, float]
    """By position of the answer."""

    def arm(self, connection: Connection) -> None:
        original, seen = SecurePeer._exchange, set[int]()

        def ask(peer: SecurePeer, *arguments: Any) -> PeerPrediction:
            prediction = original(peer, *arguments)
            if prediction.query_id in seen:
                return prediction
            seen.add(prediction.query_id)
            logits_NC = prediction.logits_NC.clone()
            for position, value in self.added.items():
                logits_NC[position] += torch.tensor([value, *[0.0] * (logits_NC.shape[1] - 1)])
            return dataclasses.replace(prediction, logits_NC=logits_NC)

        SecurePeer._exchange = ask  # type: ignore[method-assign]

    def tell(self) -> None:
        pass


def result(folders: Folders, role: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folders.output(role) / "party.json").read_text())
    return found


def test_a_spot_check_that_fails(network: Network, tmp_path: Path) -> None:
    """Who asked reads by how much; the others hear the kind of error only, in any of their logs."""
    folders = Folders(tmp_path, network, exchange__spot_checks=CHECKS)
    with HostRun(network, folders) as run:
        run.start(instruments={"a": WrongAnswers(dict.fromkeys(range(NUM_QUERIES), 7.25))})
        assert run.wait() == {"a": 7, "b": 14, "dealer": 14}, run.logs()
        assert f"{CHECKS} of {CHECKS} answers of the other party differ when asked again, by up to 7." in (
            run.processes["a"].error
        )
        for role in ("b", "dealer"):
            assert "SpotCheckError; see its own log" in run.processes[role].error
            assert "differ when asked again" not in run.processes[role].log
            assert "7.2" not in run.processes[role].error


def test_answers_that_cannot_be_right(network: Network, tmp_path: Path) -> None:
    """They are dropped and counted where they came. The other side sends, receives and charges the same as ever."""
    answered = []
    for name, damage in (("without", {}), ("with", {0: float("nan"), 5: 1e30})):
        folders = Folders(tmp_path / name, network, exchange__spot_checks=CHECKS)
        with HostRun(network, folders) as run:
            run.start(instruments={"a": WrongAnswers(damage)})
            assert run.wait() == dict.fromkeys(["a", "b", "dealer"], 0), run.logs()
            assert ("are dropped" in run.processes["a"].log) == bool(damage)
            assert "dropped;" not in run.processes["b"].log
        assert result(folders, "a")["answers_dropped"] == 3 * len(damage)
        found = result(folders, "b")
        assert found["answers_dropped"] == 0
        answered.append({key: found[key] for key in ("rounds", "queries_answered", "budget", "dealer_bytes")})
    assert answered[0] == answered[1]
    assert answered[0]["queries_answered"] == answered[0]["budget"]["charged"] == 3 * (NUM_QUERIES + CHECKS)
    assert {role: result(folders, role)["queries_made"] for role in PEER} == dict.fromkeys(PEER, 3 * NUM_QUERIES)
