"""A joint head between hosts: both have a share and answers, a run that was cut off goes on, one alone is refused."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from hosts_folders import EXCHANGES, NUM_QUERIES, PEER, Folders, read_lines, write_data
from hosts_network import Network
from hosts_run import HostRun, SimulatedRun
from hosts_tripwire import Tripwire

from smule_crypten.audit.log import read_log
from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.state import HEAD_FILE
from smule_crypten.joint_head.integers import as_weights

FEATURES, CLASSES = 8 * 8 + 1, 4
ANSWERS = FEATURES // 4
ROWS = 58
"""Of 64 images of a side, the validation part apart."""


@pytest.fixture
def folders(network: Network, tmp_path: Path) -> Folders:
    return Folders(tmp_path, network, "two_party", joint_head={"name": "ridge"})


def sizes() -> HeadSizes:
    terms = JointHeadTerms(
        name="ridge", answers=ANSWERS, noise=0.2, penalty=130.0, bound=32.0, iterations=14, features=FEATURES
    )
    return HeadSizes(terms=terms, outputs=CLASSES, opening="differences")


def state_of(folder: Path) -> dict[str, Any]:
    path = folder / "states" / HEAD_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    state: dict[str, Any] = torch.load(path, weights_only=True)["state"]
    return state


def check_party(folder: Path, peer: str, solves: int = 1) -> None:
    """What a run leaves at a party, whose head was solved so often."""
    result = json.loads((folder / "party.json").read_text())
    head, expected = result["joint_head"], sizes()
    answers = expected.answers_cost(ANSWERS, ANSWERS)
    assert (head["features"], head["attempts"], head["is_revealed"]) == (FEATURES, 1, False)
    assert (head["answers_got"], head["answers_limit"], head["answers_before"]) == (ANSWERS, ANSWERS, 0)
    assert head["solve_bytes"] == expected.solve_cost(is_P=True).bytes_total
    assert head["opening_bytes"] == answers.bytes_total
    assert head["rounds"] == expected.solve_cost(is_P=True).rounds + answers.rounds
    assert result["bytes_by_phase"]["joint head"] == expected.most_bytes
    assert head["noise"] == pytest.approx(0.2 * 0.214)
    ledger = read_lines(folder / "disclosures.jsonl")
    of_head = [entry for entry in ledger if entry["kind"].startswith("joint_head")]
    assert {entry["to_party"] for entry in ledger} == {peer}
    assert sum(entry["kind"] == "joint_head_check" for entry in of_head) <= solves
    given = [entry["num_samples"] for entry in of_head if entry["kind"] == "joint_head"]
    assert set(given) == {ANSWERS}
    assert head["answers_given"] == sum(given)
    # What the network answers has a limit of its own.
    assert result["budget"]["charged"] >= len(EXCHANGES) * NUM_QUERIES
    assert result["budget"]["charged"] % NUM_QUERIES == 0


def check_audit_log(folder: Path, **expected: object) -> None:
    """What the head opened stands there line by line as in the ledger, and what came of it once."""
    events = [line.details.model_dump() for line in read_log(folder / "audit.jsonl").lines]
    ledger = [(entry["kind"], entry["digest"]) for entry in read_lines(folder / "disclosures.jsonl")]
    assert [(one["kind"], one["ledger"]) for one in events if one["event"] == "answers"] == ledger
    assert [one for one in events if one["event"] == "joint_head"] == [{"event": "joint_head", **expected}]


def test_both_have_a_head(folders: Folders, network: Network) -> None:
    """Record, ledger, report and log name it; bytes are those said before; shares add up to a head that knows."""
    with HostRun(network, folders) as run:
        run.complete()
        assert "joint head: 65 features, 58 rows of party a and 58 of party b" in run.processes["a"].log
        assert f"joint head: party b got {ANSWERS} answers of it and gave {ANSWERS}" in run.processes["b"].log
        assert "party b, joint head: not compared with a head of own rows alone" in run.processes["b"].log
    states = []
    for role, peer in PEER.items():
        folder = folders.output(role)
        check_party(folder, peer)
        kinds = [entry["kind"] for entry in read_lines(folder / "disclosures.jsonl")]
        assert kinds == ["joint_head_check", "joint_head", "first", "first", "first"]
        check_audit_log(folder, asked=ANSWERS, answered=ANSWERS, revealed=False)
        shown = (folder / "report.html").read_text()
        assert f"65 features, 58 rows of party a and 58 of party b, solved for {_shown_solve()}" in shown
        assert f"party {role} gave {ANSWERS} answers of {ANSWERS}, got {ANSWERS}" in shown
        states.append(state_of(folder))
    assert states[0]["solve"] == states[1]["solve"]
    weights_DC = as_weights(states[0]["share_DC"] + states[1]["share_DC"])
    assert 0.01 < float(weights_DC.abs().max()) < 1.0
    assert float(as_weights(states[0]["share_DC"]).abs().max()) > 1e6


def _shown_solve() -> str:
    return f"{sizes().solve_cost(is_P=True).bytes_total / 1e6:.2f} MB"


def test_refused_unless_both_choose_it(folders: Folders, network: Network) -> None:
    """One line says who does not; other terms are named by their key. Nothing was opened."""
    with HostRun(network, folders) as run:
        folders.change("b", joint_head={"name": "ridge", "noise": 0.3})
        run.start()
        assert run.wait() == {"a": 13, "b": 13}, run.logs()
        assert "joint_head.noise: 0.2 here, 0.3 at party b" in run.processes["a"].error
        folders.change("b", joint_head={"name": "none"})
        run.start()
        assert run.wait() == {"a": 13, "b": 13}, run.logs()
        assert "joint_head.name: 'ridge' here, 'none' at party b" in run.processes["a"].error
        for role, who in (("a", "this party"), ("b", "party a")):
            assert f"joint_head: {who} alone chooses one" in run.processes[role].error
            assert "joint_head.answers" not in run.processes[role].error
    assert not any((folders.output(role) / "disclosures.jsonl").exists() for role in PEER)


def test_a_head_that_hides_nothing_is_refused(folders: Folders, network: Network) -> None:
    """Before anybody is met, with one line each: no noise, no answers, and weights of few rows."""
    with HostRun(network, folders) as run:
        for key, value, code, text in (
            ("noise", 0.0, 2, "raise joint_head.noise"),
            ("answers", 0, 2, "joint_head.answers=0: nothing is learned"),
            ("reveal", "both", 3, "below 2,000 weights tell of single rows"),
        ):
            folders.change("a", joint_head={"name": "ridge", key: value})
            run.start("a")
            assert run.wait() == {"a": code}, run.logs()
            assert text in run.processes["a"].error


@pytest.mark.parametrize(
    ("role", "count"),
    [("b", 12), ("a", 40), ("b", 43)],
)
def test_a_run_that_was_cut_off_in_its_head(tmp_path: Path, role: str, count: int) -> None:
    """Killed in the iteration, and where answers are given: the run goes on to the same end, with the bytes of one that
    was not disturbed, and every attempt in the ledger. (Each message: tests/unit/head_run.)"""
    with SimulatedRun(tmp_path, "joint_head=ridge", scheme="two_party") as run:
        run.start(instruments={role: Tripwire("kill", "head", count)})
        assert run.wait()[role] == -signal.SIGKILL, run.logs()
        run.complete()
        folders = [run.output(name) for name in PEER]
    for folder, peer in zip(folders, PEER.values(), strict=True):
        check_party(folder, peer, solves=2)
    states = [state_of(folder) for folder in folders]
    assert states[0]["solve"] == states[1]["solve"]
    assert float(as_weights(states[0]["share_DC"] + states[1]["share_DC"]).abs().max()) < 1.0


def test_a_run_that_was_cut_off_later_keeps_its_head(tmp_path: Path) -> None:
    """Killed in training: nothing is solved or asked a second time, and W stays what it is."""
    with SimulatedRun(tmp_path, "joint_head=ridge", scheme="two_party") as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        before = [(run.output(name) / "states" / HEAD_FILE).read_bytes() for name in PEER]
        run.complete()
        assert [(run.output(name) / "states" / HEAD_FILE).read_bytes() for name in PEER] == before
        for name, peer in PEER.items():
            check_party(run.output(name), peer)
            kinds = [entry["kind"] for entry in read_lines(run.output(name) / "disclosures.jsonl")]
            assert kinds.count("joint_head") == kinds.count("joint_head_check") == 1


def test_weights_revealed_to_both(folders: Folders, network: Network) -> None:
    """Both opt in, and have the rows: each knows them under the other one's noise, and the ledger says so."""
    for number, role in enumerate(PEER):
        write_data(folders.folder(role) / "data.npz", num_train=2400, seed=number)
        folders.change(role, joint_head={"name": "ridge", "reveal": "both", "reveal_small": True}, training__epochs=2)
    with HostRun(network, folders) as run:
        run.complete()
        assert "joint head: its weights are revealed to both parties" in run.processes["a"].log
        said = {role: run.processes[role].log for role in PEER}
    states = []
    for role in PEER:
        folder = folders.output(role)
        states.append(state_of(folder))
        head = json.loads((folder / "party.json").read_text())["joint_head"]
        assert (head["is_revealed"], head["answers_got"], head["answers_given"]) == (True, 0, 0)
        # Rows of both parties are of the same kind: neither head is far better than the other one.
        assert abs(head["advantage"]) < 3
        assert not head["is_left_out"]
        how = f"{abs(head['advantage']):.1f} standard deviations {'better' if head['advantage'] >= 0 else 'worse'}"
        assert f"party {role}, joint head: by {how} than a head of own rows alone" in said[role]
        shown = (folder / "report.html").read_text()
        assert f"{head['advantage']:+.1f} deviations against the head of party {role}" in shown
        assert head["opening_bytes"] == 2 * 8 * FEATURES * CLASSES
        kinds = [(entry["kind"], entry["num_samples"]) for entry in read_lines(folder / "disclosures.jsonl")]
        assert kinds[:2] == [("joint_head_check", 16), ("joint_head_weights", FEATURES * CLASSES)]
        check_audit_log(folder, asked=0, answered=0, revealed=True)
        assert "both parties know its weights" in (folder / "report.html").read_text()
    both_DC = states[0]["share_DC"] + states[1]["share_DC"]
    for state in states:
        assert torch.equal(state["weights_DC"], as_weights(both_DC - state["noise_DC"]))
        assert 0.5 < float(as_weights(state["noise_DC"]).std()) / sizes().weight_sigma < 2


def test_answers_of_earlier_runs_count(folders: Folders, network: Network) -> None:
    """On one ledger a second run has none left, until both raise the limit."""
    with HostRun(network, folders) as run:
        for role in PEER:
            folders.change(role, disclosure__ledger="ledger.jsonl")
        run.complete()
        for role in PEER:
            folders.change(role, output_dir="second")
        run.start()
        assert set(run.wait().values()) <= {11, 14}, run.logs()
        assert any(
            f"asks for {ANSWERS} answers of the joint head, joint_head.answers={ANSWERS} leaves 0; both may raise it "
            f"to {2 * ANSWERS}" in run.processes[role].error
            for role in PEER
        )
