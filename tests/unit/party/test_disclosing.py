from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from party_configs import party

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DpConfig, LaunchConfig, TrainingConfig
from smule_crypten.errors import OutputError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.party.disclosing import budget_of_run, budget_so_far, ledger_path, oldest_start
from smule_crypten.party.run_folder import RUN_FILE, identify_run, known_run, party_folder
from smule_crypten.party.states import StateFolder
from smule_crypten.types import Disclosure

QUERY = Disclosure(query_id=1, to_party="b", num_samples=5, model_step=0)
PRIVATE = TrainingConfig(trust="none", dp=DpConfig(target_epsilon=8.0))


def begun(root: Path, data: str = "data", **settings: Any) -> tuple[PartyConfig, StateFolder]:
    """A party whose folder was claimed, and its states."""
    config = party(output_dir=str(root / "out"), **settings)
    party_folder(config).mkdir(parents=True, exist_ok=True)
    return config, StateFolder(party_folder(config) / "states", config, data)


def charge(budget: QueryBudget) -> None:
    budget.plan("b", [5])
    budget.charge(QUERY)


def test_all_attempts_at_a_run_are_one_run(tmp_path: Path) -> None:
    """A query that is repeated after a crash is known, also where the owner allows more queries or moves the folder."""
    run = identify_run(*begun(tmp_path))
    assert identify_run(*begun(tmp_path)) == run
    assert identify_run(*begun(tmp_path, disclosure=DisclosureConfig(max_answers_total=9))) == run
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = party(output_dir=str(tmp_path / "moved"))
    assert identify_run(moved, StateFolder(tmp_path / "moved" / "party_a" / "states", moved, "data")) == run


@pytest.mark.parametrize("change", [{"training": TrainingConfig(epochs=3)}, {"seed": 1}, {"data": "other"}])
def test_another_training_is_another_run(change: dict[str, Any], tmp_path: Path) -> None:
    """Another network answers, so its queries are charged, though they have the same numbers and the same folder."""
    run = identify_run(*begun(tmp_path))
    assert known_run(*begun(tmp_path, **change)) is None
    assert identify_run(*begun(tmp_path, **change)) != run


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """smule-doctor does not begin a run."""
    config, states = begun(tmp_path)
    assert budget_so_far(config, states).charged == {}
    assert list(party_folder(config).iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": "x", "belongs_to": 3}'])
def test_a_damaged_identity(content: str, tmp_path: Path) -> None:
    """Without it nobody knows which queries were answered before."""
    config, states = begun(tmp_path)
    (party_folder(config) / RUN_FILE).write_text(content)
    with pytest.raises(OutputError, match=r"run\.json is damaged; restore it"):
        budget_of_run(config, states)


@pytest.mark.parametrize("lost", ["run.json", "disclosures.jsonl"])
def test_a_run_goes_on_with_its_ledger_only(lost: str, tmp_path: Path) -> None:
    """A ledger that was lost, or a path that was changed, is no new budget."""
    config, states = begun(tmp_path)
    charge(budget_of_run(config, states))
    states.save(1, {})
    assert budget_of_run(config, states).charged == {1: 5}
    (party_folder(config) / lost).unlink()
    with pytest.raises(OutputError, match=r"knows nothing of the run that goes on in|lacks some that it had"):
        budget_of_run(config, states)
    assert not (party_folder(config) / lost).exists()


def test_a_link_to_a_ledger(tmp_path: Path) -> None:
    """Entries go into the file that is linked to, not into one that takes the place of the link."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "kept" / "ledger.jsonl")
    config, states = begun(tmp_path, disclosure=DisclosureConfig(ledger=str(tmp_path / "link.jsonl")))
    charge(budget_of_run(config, states))
    assert ledger_path(config) == tmp_path / "kept" / "ledger.jsonl"
    assert ledger_path(config).is_file()
    assert (tmp_path / "link.jsonl").is_symlink()


def test_a_run_that_answered_nothing_yet(tmp_path: Path) -> None:
    """The state before the first exchange is no sign of a lost ledger."""
    config, states = begun(tmp_path)
    identify_run(config, states)
    states.save(0, {})
    assert budget_of_run(config, states).charged == {}


def test_lines_that_were_cut_off_end_a_run_that_goes_on(tmp_path: Path) -> None:
    """The output folder knows how far the ledger went, which the ledger alone does not tell."""
    config, states = begun(tmp_path, disclosure=DisclosureConfig(ledger=str(tmp_path / "ledger.jsonl")))
    charge(budget_of_run(config, states))
    charge(budget_of_run(config, states))
    states.save(1, {})
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(OutputError, match=r"has 1 lines and lacks some that it had: .*ledger_head\.json knows of 2"):
        budget_of_run(config, states)


def test_how_far_back_a_run_goes(tmp_path: Path) -> None:
    """By one exchange, in which the other party may have been cut off; all the way where the operator says so; not at
    all with differential privacy, whose noise would be used twice."""
    for number, (settings, expected) in enumerate(
        [
            ({}, 2),
            ({"launch": LaunchConfig(accept_restart=True)}, 0),
            ({"training": PRIVATE}, 3),
            ({"training": PRIVATE, "launch": LaunchConfig(accept_restart=True)}, 3),
        ]
    ):
        config, states = begun(tmp_path / str(number), **settings)
        assert oldest_start(config, states) == 0
        for completed in range(4):
            states.save(completed, {})
        assert oldest_start(config, states) == expected


def test_a_private_training_is_not_done_a_second_time(tmp_path: Path) -> None:
    """Its network has answered, its states are gone: a new training of the same samples would not be counted."""
    config, states = begun(tmp_path, training=PRIVATE)
    charge(budget_of_run(config, states))
    with pytest.raises(OutputError, match=r"has answered, but its states are gone; with training\.dp"):
        budget_of_run(config, states)
    states.save(0, {})
    assert budget_of_run(config, states).charged == {1: 5}
    config, states = begun(tmp_path / "without")
    charge(budget_of_run(config, states))
    assert budget_of_run(config, states).charged == {1: 5}
