"""The end of one process of a party is the end of all of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from two_processes import TWO, WORKER, failing, learner, two_processes, work_beside

from smule_crypten.compute.environment import SpawnedEnvironment
from smule_crypten.compute.group import Group
from smule_crypten.compute.helpers import Helpers
from smule_crypten.config.sections import LaunchConfig
from smule_crypten.errors import PartyFailedError
from smule_crypten.fork_server import CallersOutput, process_context, start


@pytest.mark.parametrize(
    ("how", "reason"), [("raises", "process 1: KeyError: 'no such row'"), ("killed", "process 1 ended with -9")]
)
def test_a_process_that_fails_ends_the_party(tmp_path: Path, how: str, reason: str) -> None:
    """One line says which and why; nobody waits for it."""
    with two_processes(tmp_path) as helpers:
        party = helpers.spread(learner(partial(failing, how)))
        trainer = party.trainer(party.network())
        with pytest.raises(PartyFailedError, match=f"^party a, {reason}; 2 processes train it together$"):
            trainer.run_epoch()


_IMPATIENT = LaunchConfig(deadline_seconds=2.0)


def _train_beside_a_stopped_process(output: CallersOutput, folder: Path) -> None:
    group = Group(SpawnedEnvironment(folder, 0, 2), TWO, _IMPATIENT, "cpu", "a")
    party = Helpers(group).spread(learner(partial(failing, "stopped")))
    party.trainer(party.network()).run_epoch()


def test_a_process_that_is_silent_ends_the_party(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Process 0 waits in the middle of a step, where nothing else can reach it; it ends itself, with one line."""
    other = process_context().Process(target=work_beside, args=(tmp_path, TWO, _IMPATIENT), name=WORKER)
    first = process_context().Process(target=_train_beside_a_stopped_process, args=(CallersOutput(), tmp_path))
    for process in (other, first):
        start(process)
    try:
        first.join(60)
        assert first.exitcode == PartyFailedError.exit_code
        assert "smule: error: party a, process 1 has been silent for 2 seconds; 2 processes" in capfd.readouterr().err
    finally:
        for process in (other, first):
            process.kill()
            process.join()
