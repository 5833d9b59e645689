from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from party_configs import party

from smule_crypten.config import BudgetConfig, TrainingConfig
from smule_crypten.errors import OutputError
from smule_crypten.processes.disclosing import budget_of_run, budget_so_far, ledger_path
from smule_crypten.processes.run_folder import RUN_FILE, identify_run, known_run, party_folder
from smule_crypten.processes.states import StateFolder
from smule_crypten.run_config import PartyConfig
from smule_crypten.types import Disclosure

QUERY = Disclosure(query_id=1, to_party="b", num_samples=5, model_step=0)


def begun(root: Path, data: str = "data", **settings: Any) -> tuple[PartyConfig, StateFolder]:
    """A party whose folder was claimed, and its states."""
    config = party(output_dir=str(root / "out"), **settings)
    party_folder(config).mkdir(parents=True, exist_ok=True)
    return config, StateFolder(party_folder(config) / "states", config, data)


def test_all_attempts_at_a_run_are_one_run(tmp_path: Path) -> None:
    """A query that is repeated after a crash is known, also where the owner allows more queries or moves the folder."""
    run = identify_run(*begun(tmp_path))
    assert identify_run(*begun(tmp_path)) == run
    assert identify_run(*begun(tmp_path, budget=BudgetConfig(max_queries_total=9))) == run
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
    budget_of_run(config, states).charge(QUERY)
    states.save(1, {})
    assert budget_of_run(config, states).charged == {1: 5}
    (party_folder(config) / lost).unlink()
    with pytest.raises(OutputError, match="knows nothing of the run that goes on in"):
        budget_of_run(config, states)
    assert not (party_folder(config) / lost).exists()


def test_a_link_to_a_ledger(tmp_path: Path) -> None:
    """Entries go into the file that is linked to, not into one that takes the place of the link."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "kept" / "ledger.jsonl")
    config, states = begun(tmp_path, budget=BudgetConfig(ledger=str(tmp_path / "link.jsonl")))
    budget_of_run(config, states).charge(QUERY)
    assert ledger_path(config) == tmp_path / "kept" / "ledger.jsonl"
    assert ledger_path(config).is_file()
    assert (tmp_path / "link.jsonl").is_symlink()
