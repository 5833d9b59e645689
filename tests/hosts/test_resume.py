"""A run that is cut off and started again ends as if nothing had happened: seeded simulations, compared bit by bit.

What cannot be equal is seconds and peak memory: they are those of the processes that measured them.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hosts_folders import NUM_QUERIES, PEER, last_attempts, read_lines, read_weights, write_data
from hosts_processes import HostProcess
from hosts_run import RUN_SECONDS, SimulatedRun, simulation_main, simulation_overrides
from hosts_tripwire import PHASES, Tripwire

from smule_crypten.report.summary import read_summary

_PER_RUN = {"training_seconds", "exchange_seconds", "peak_memory_bytes", "seconds", "run"}
"""What is measured, and the identity of the run."""
_PER_ATTEMPT = {"attempt", "time", "previous", "digest", "budget"}
"""What a ledger and its sum say of the attempts that it took."""


@dataclass(frozen=True)
class Undisturbed:
    """The folder of a run without interruption, and how many steps each role took in each phase."""

    run_dir: Path
    steps: dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return _undisturbed(tmp_path_factory, "lean")


@pytest.fixture(scope="module")
def undisturbed_two(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """By the two parties alone."""
    return _undisturbed(tmp_path_factory, "two_party")


def _undisturbed(tmp_path_factory: pytest.TempPathFactory, scheme: str) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    with SimulatedRun(root, scheme=scheme) as run:
        run.start(instruments={role: Tripwire("count") for role in run.roles})
        assert run.wait() == dict.fromkeys(run.roles, 0), run.logs()
        return Undisturbed(
            root / "run", {role: process.receive(RUN_SECONDS) for role, process in run.processes.items()}
        )


def check_equal(run_dir: Path, undisturbed: Undisturbed) -> None:
    """Networks bit by bit; record, bytes by phase and last attempts but for what no two runs have in common."""
    for role in PEER:
        folder, expected = run_dir / f"party_{role}", undisturbed.run_dir / f"party_{role}"
        for name in ("model.pt", "standalone.pt"):
            weights = read_weights(folder / name)
            for key, value in read_weights(expected / name).items():
                assert torch.equal(weights[key], value), f"{role}/{name}: {key}"
        record, ledger = "record.jsonl", "disclosures.jsonl"
        assert _comparable(read_lines(folder / record)) == _comparable(read_lines(expected / record))
        attempts, expected_attempts = (last_attempts(read_lines(path / ledger)) for path in (folder, expected))
        assert _comparable(attempts) == _comparable(expected_attempts)
        result, expected_result = (json.loads((path / "party.json").read_text()) for path in (folder, expected))
        for found in (result, expected_result):
            # Where one party alone had saved its first state, it says so in the next handshake, with a byte more.
            del found["bytes_by_phase"]["handshake"], found["bytes_sent"], found["bytes_received"]
        assert _comparable([result]) == _comparable([expected_result])


def _comparable(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key not in _PER_RUN | _PER_ATTEMPT} for entry in entries]


@contextmanager
def goes_on(run_dir: Path) -> Iterator[None]:
    """The training before the exchanges is not done again: its network is not written a second time."""
    paths = [run_dir / f"party_{role}" / "standalone.pt" for role in PEER]
    before = [path.stat().st_mtime_ns for path in paths]
    yield
    assert [path.stat().st_mtime_ns for path in paths] == before


@pytest.mark.parametrize(
    ("victim", "phase", "part"), [("a", "exchange", 0.5), ("b", "training", 0.8), ("dealer", "exchange", 0.9)]
)
def test_cut_off(victim: str, phase: str, part: float, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A process is killed after the first exchange: all go on from there, and each attempt is charged."""
    count = int(part * undisturbed.steps[victim][phase])
    with SimulatedRun(tmp_path) as run:
        run.start(instruments={victim: Tripwire("kill", phase, count)})
        assert run.wait()[victim] == -signal.SIGKILL, run.logs()
        with goes_on(tmp_path / "run"):
            run.complete()
        for role in PEER:
            ledger = read_lines(run.output(role) / "disclosures.jsonl")
            budget = json.loads((run.output(role) / "party.json").read_text())["budget"]
            assert budget["charged"] == len(ledger) * NUM_QUERIES
            assert budget["repeats_used"] == len(ledger) - 3
            assert budget["answered"] == 3 * NUM_QUERIES
    check_equal(tmp_path / "run", undisturbed)


def test_two_parties_alone_cut_off(undisturbed_two: Undisturbed, tmp_path: Path) -> None:
    """Without a dealer: keys and transfers are made anew, and the networks are the same bit by bit."""
    count = undisturbed_two.steps["a"]["exchange"] // 2
    with SimulatedRun(tmp_path, scheme="two_party") as run:
        run.start(instruments={"a": Tripwire("kill", "exchange", count)})
        assert run.wait() == {"a": -signal.SIGKILL, "b": 6}, run.logs()
        with goes_on(tmp_path / "run"):
            run.complete()
    check_equal(tmp_path / "run", undisturbed_two)


@pytest.mark.parametrize(("phase", "count"), [("training", 10), ("alone", 2)])
def test_cut_off_in_the_training_alone(phase: str, count: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """It goes on from its last saved epoch, at both sides, and says so; epochs that were done are not shown as new."""
    with SimulatedRun(tmp_path) as run:
        run.start(instruments={"b": Tripwire("kill", phase, count)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        assert (run.output("b") / "states" / "alone.pt").exists()
        assert not (run.output("b") / "standalone.pt").exists()
        run.complete()
        log = run.processes["b"].log
        assert re.search(r"party b goes on with its training alone, of which [1-3] of 4 epochs were saved", log)
        assert "b alone, epoch 1/4" not in log
        assert "b alone, epoch 4/4" in log
        assert sorted(path.name for path in (run.output("b") / "states").iterdir()) == [
            "exchange_2.pt",
            "exchange_3.pt",
        ]
    check_equal(tmp_path / "run", undisturbed)


def test_cut_off_in_the_first_exchange(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The training before it is not done again: who hangs up there does not get answers of a second one."""
    count = undisturbed.steps["b"]["exchange"] // 6
    with SimulatedRun(tmp_path) as run:
        run.start(instruments={"b": Tripwire("kill", "exchange", count)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        assert sorted(path.name for path in (run.output("b") / "states").iterdir()) == ["exchange_0.pt"]
        with goes_on(tmp_path / "run"):
            run.complete()
    check_equal(tmp_path / "run", undisturbed)


def test_cut_off_while_a_state_is_written(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A state that was not put in its place does not count, the one before it does; the remains are cleared away."""
    with SimulatedRun(tmp_path) as run:
        states = run.output("a") / "states"
        run.start(instruments={"a": Tripwire("kill", "state", 3)})
        assert run.wait()["a"] == -signal.SIGKILL, run.logs()
        (remains,) = states.glob(".exchange_2.pt.*")
        os.truncate(remains, remains.stat().st_size // 2)
        assert sorted(path.name for path in states.glob("exchange_*")) == ["exchange_0.pt", "exchange_1.pt"]
        with goes_on(tmp_path / "run"):
            run.complete()
        assert sorted(path.name for path in states.iterdir()) == ["exchange_2.pt", "exchange_3.pt"]
    check_equal(tmp_path / "run", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_cut_off_again_and_again(seed: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Three times in one run, anybody, anywhere; steps are counted anew each time."""
    _cut_off_again_and_again("lean", seed, undisturbed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_two_parties_alone_are_cut_off_again_and_again(seed: int, undisturbed_two: Undisturbed, tmp_path: Path) -> None:
    """The same without a dealer."""
    _cut_off_again_and_again("two_party", seed, undisturbed_two, tmp_path)


def _cut_off_again_and_again(scheme: str, seed: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with SimulatedRun(tmp_path, scheme=scheme) as run:
        for _ in range(3):
            victim, phase = rng.choice(run.roles), rng.choice(PHASES)
            count = rng.randint(1, undisturbed.steps[victim][phase])
            run.start(instruments={victim: Tripwire("kill", phase, count)})
            exit_codes = run.wait()
            if exit_codes["a"] == exit_codes["b"] == 0:
                break  # less was left to do than the steps to wait for, or nobody needed the dealer any more
            assert exit_codes[victim] == -signal.SIGKILL, run.logs()
        else:
            run.complete()
    check_equal(tmp_path / "run", undisturbed)


def test_states_of_another_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A state of another configuration or of other data, or one that is damaged, is refused and left alone."""
    with SimulatedRun(tmp_path) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 4)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        before = _contents(tmp_path / "run")
        overrides = run.overrides
        run.overrides = [*overrides, "training.temperature=3"]
        run.start("a", "b")
        assert (run.processes["a"].wait(RUN_SECONDS), run.processes["b"].wait(RUN_SECONDS)) == (5, 5), run.logs()
        assert "another configuration: training.temperature: 2.0 there, 3.0 here;" in run.processes["a"].error
        assert _contents(tmp_path / "run") == before

        run.overrides = overrides
        data, kept = tmp_path / "data.npz", (tmp_path / "data.npz").read_bytes()
        write_data(data, num_train=128, seed=1)
        run.start()
        assert [run.processes[role].wait(RUN_SECONDS) for role in PEER] == [5, 5], run.logs()
        assert "other data" in run.processes["a"].error
        assert _contents(tmp_path / "run") == before
        data.write_bytes(kept)

        (tmp_path / "run" / "party_a" / "states" / "exchange_3.pt").write_bytes(b"damaged")
        run.start("a")
        assert run.processes["a"].wait(RUN_SECONDS) == 5, run.logs()
        assert "is damaged" in run.processes["a"].error


def _contents(folder: Path) -> dict[Path, bytes]:
    """All files but the log and the status, which tell of refusals, too."""
    told = ("party.log", "status.json")
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in told}


def test_a_simulation_that_was_killed(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """`smule` leaves nothing running when it is killed, and goes on when it is called again with its run folder."""
    run_dir = tmp_path / "run"
    overrides = simulation_overrides(tmp_path)
    process = HostProcess(simulation_main, overrides, tmp_path / "process")
    try:
        _wait_until(lambda: all((run_dir / f"party_{role}/states/exchange_1.pt").exists() for role in PEER), process)
        children = _children(process.pid)
        process.send_signal(signal.SIGKILL)
        _wait_until(lambda: not any(map(_runs, children)), process)
    finally:
        process.end()
    assert json.loads((run_dir / "summary.json").read_text())["status"] == "running"
    again = HostProcess(simulation_main, overrides, tmp_path / "process")
    try:
        with goes_on(run_dir):
            assert again.wait(RUN_SECONDS) == 0, again.log
    finally:
        again.end()
    check_equal(run_dir, undisturbed)
    summary = json.loads((run_dir / "summary.json").read_text())
    read_summary(run_dir)
    assert summary["status"] == "completed"
    assert len(summary["communication"]["bytes_per_epoch"]) == 4
    finished = HostProcess(simulation_main, overrides, tmp_path / "process")
    try:
        assert finished.wait(RUN_SECONDS) == 5
    finally:
        finished.end()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    """Whether the process exists and is more than an entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_until(is_true: Callable[[], bool], process: HostProcess) -> None:
    until = time.monotonic() + RUN_SECONDS
    while not is_true():
        assert time.monotonic() < until, process.log
        time.sleep(0.01)
