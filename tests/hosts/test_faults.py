"""Each process killed, stopped or cut off, at exact points: the others end in time and say who, and all can go on."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from hosts_folders import DEADLINE_SECONDS, JOIN_SECONDS, PEER, Folders, check_results, read_lines
from hosts_network import ROLES, Network
from hosts_run import NAMES, RUN_SECONDS, HostRun
from hosts_tripwire import PHASES, Action, Tripwire

from smule_crypten.report.journal import read_journal
from smule_crypten.training.checkpoint import load_checkpoint

Steps = dict[str, dict[str, int]]
KINDS = ("kill", "stop", "cut")
_ACTIONS: dict[str, Action] = {"kill": "kill", "stop": "stop", "cut": "wait"}
_MARGIN_SECONDS = 4.0
"""For noticing, for saying so to the others, and for a busy machine."""
_PEER_ERROR = 6


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_faults(kind: str, phase: str, network: Network, steps: Steps, tmp_path: Path) -> None:
    """Every kind of fault in every phase, the victims by turns."""
    victim = ROLES[(KINDS.index(kind) + PHASES.index(phase)) % len(ROLES)]
    _survive(kind, victim, phase, network, steps, Folders(tmp_path, network), seed=0)


@pytest.mark.parametrize(("kind", "victim", "phase"), [("kill", "a", "exchange"), ("cut", "b", "training")])
def test_faults_of_two_parties_alone(
    kind: str, victim: str, phase: str, network: Network, steps_of_two: Steps, tmp_path: Path
) -> None:
    """Without a dealer, the other one notices and says who, and both go on."""
    _survive(kind, victim, phase, network, steps_of_two, Folders(tmp_path, network, "two_party"), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("victim", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_at_ten_points(
    kind: str, victim: str, seed: int, network: Network, steps: Steps, tmp_path: Path
) -> None:
    """Each kind of fault at each process, at ten points of handshake, exchange and training."""
    _survive(kind, victim, PHASES[seed % len(PHASES)], network, steps, Folders(tmp_path, network), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("victim", PEER)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_two_parties_alone_at_ten_points(
    kind: str, victim: str, seed: int, network: Network, steps_of_two: Steps, tmp_path: Path
) -> None:
    """The same without a dealer."""
    folders = Folders(tmp_path, network, "two_party")
    _survive(kind, victim, PHASES[seed % len(PHASES)], network, steps_of_two, folders, seed)


def _survive(kind: str, victim: str, phase: str, network: Network, steps: Steps, folders: Folders, seed: int) -> None:
    if kind == "cut" and network.namespaces is None:
        pytest.skip("cutting off a host needs network namespaces: root and iproute2")
    num_steps = steps[victim][phase]
    if (victim, phase) == ("dealer", "training"):
        num_steps -= 2  # its last two waits are for the end, when nobody needs it any more
    count = random.Random(f"{kind} {victim} {phase} {seed}").randint(1, num_steps)
    with HostRun(network, folders) as run:
        run.start(instruments={victim: Tripwire(_ACTIONS[kind], phase, count)})
        started = _disturb(network, run, kind, victim)
        try:
            _others_end(run, victim, phase, started)
            _victim_ends(run, kind, victim)
        finally:
            if kind == "cut":
                network.mend(victim)
        common = _check_what_was_saved(folders)
        _resume(run, common)
        check_results(folders)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_end(count: int, network: Network, steps: Steps, tmp_path: Path) -> None:
    """A party that is killed after its last epoch has its results, or gets them with the same commands again."""
    folders = Folders(tmp_path, network)
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "end", count)})
        exit_codes = run.wait()
        assert exit_codes["b"] == -signal.SIGKILL
        statuses = {role: _status(folders, role) for role in PEER}
        assert exit_codes["a"] == (0 if statuses["a"] == "completed" else _PEER_ERROR), run.logs()
        if statuses["a"] == "completed":
            assert statuses["b"] in ("running", "completed")
            check_results(folders)
        else:
            run.complete()
            check_results(folders)


def test_the_dealer_dies_while_a_party_is_awaited(network: Network, tmp_path: Path) -> None:
    """A party that has met the dealer and waits for the other one does not wait any longer, and names the dealer."""
    folders = Folders(tmp_path, network, launch__join_seconds=60.0)
    first_link = Tripwire("kill", "handshake", 2)
    with HostRun(network, folders) as run:
        run.start("dealer", "a", instruments={"dealer": first_link})
        run.processes["dealer"].wait_for_tripwire(RUN_SECONDS)
        assert run.processes["a"].wait(DEADLINE_SECONDS + _MARGIN_SECONDS) == _PEER_ERROR, run.logs()
        assert NAMES["dealer"] in run.processes["a"].error


def _status(folders: Folders, role: str) -> str | None:
    path = folders.output(role) / "party.json"
    return json.loads(path.read_text())["status"] if path.exists() else None


def _disturb(network: Network, run: HostRun, kind: str, victim: str) -> float:
    process = run.processes[victim]
    process.wait_for_tripwire(RUN_SECONDS)
    if kind == "cut":
        network.cut(victim)
        process.go_on()
    return time.monotonic()


def _others_end(run: HostRun, victim: str, phase: str, started: float) -> None:
    """In time, with an error that names the victim. A dealer that still waits for both parties goes on waiting."""
    limit = DEADLINE_SECONDS + _MARGIN_SECONDS + (JOIN_SECONDS if phase == "handshake" else 0.0)
    for role in run.roles:
        process = run.processes[role]
        if role == victim:
            continue
        exit_code = process.wait(max(0.0, started + limit - time.monotonic()))
        if role == "dealer" and phase == "handshake" and exit_code is None:
            _still_waits(process.log, run)
            continue
        assert exit_code == _PEER_ERROR, f"{NAMES[role]} ended with {exit_code}\n{run.logs()}"
        assert NAMES[victim] in process.error, f"{process.error}\n{run.logs()}"


def _still_waits(log: str, run: HostRun) -> None:
    """A dealer says that it waits, and once more where somebody else than before did not come."""
    last = log.splitlines()[-1]
    assert "waiting for=party a,party b listening=" in last or "nobody to deal to: " in last, run.logs()


def _victim_ends(run: HostRun, kind: str, victim: str) -> None:
    """What was stopped, or cut off, finds that out by itself."""
    process = run.processes[victim]
    if kind == "stop":
        process.send_signal(signal.SIGCONT)
    exit_code = process.wait(DEADLINE_SECONDS + JOIN_SECONDS + _MARGIN_SECONDS)
    if kind == "kill":
        assert exit_code == -signal.SIGKILL
    elif exit_code is None:
        assert victim == "dealer"
        _still_waits(process.log, run)
    else:
        assert exit_code == _PEER_ERROR, run.logs()
        assert any(NAMES[role] in process.error for role in ROLES if role != victim), process.error


def _check_what_was_saved(folders: Folders) -> int:
    """Everything on disk can be read; returns the last exchange that both parties have saved."""
    saved = []
    for role in PEER:
        output = folders.output(role)
        numbers = set()
        for path in (output / "states").glob("exchange_*.pt"):
            torch.load(path, weights_only=True)
            numbers.add(int(path.stem.removeprefix("exchange_")))
        saved.append(numbers)
        for path in output.glob("*.pt"):
            load_checkpoint(path)
        if (output / "record.jsonl").exists():
            read_journal(output / "record.jsonl")
        if (output / "disclosures.jsonl").exists():
            read_lines(output / "disclosures.jsonl")
    return max(saved[0] & saved[1], default=0)


def _resume(run: HostRun, common: int) -> None:
    """The same commands again, for all that do not run any more."""
    run.complete(*[role for role, process in run.processes.items() if process.wait(0.0) is not None])
    for role in PEER:
        (start,) = re.findall(r"resumes_after_exchange=(\w+)", run.processes[role].log)
        assert start == str(common)
