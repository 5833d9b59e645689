from __future__ import annotations

import json
from pathlib import Path

import pytest
from party_configs import party
from party_records import party_record

from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import OutputError
from smule_crypten.party.run_folder import (
    RESULT_FILE,
    check_run_dir,
    check_unused,
    claimed_run_dir,
    party_folder,
    write_result,
)
from smule_crypten.party.states import StateFolder
from smule_crypten.report.record import read_record
from smule_crypten.report.records import PartyRecord


@pytest.fixture
def parties(tmp_path: Path) -> list[PartyConfig]:
    return [party(role=role, output_dir=str(tmp_path)) for role in "ab"]


def test_a_new_folder(parties: list[PartyConfig], tmp_path: Path) -> None:
    """Each party that runs here gets its folder, with nothing in it."""
    check_run_dir(tmp_path, parties[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["party_a"]
    assert list((tmp_path / "party_a").iterdir()) == []


@pytest.mark.parametrize(("status", "is_refused"), [("completed", True), ("running", False), ("failed", False)])
def test_the_result_of_a_party(status: str, is_refused: bool, parties: list[PartyConfig], tmp_path: Path) -> None:
    """A party whose run is complete is refused; one whose run was cut off, even in its last moment, goes on."""
    record = party_record(status=status)
    write_result(parties[0], record)
    assert read_record(PartyRecord, party_folder(parties[0]) / RESULT_FILE) == record
    if is_refused:
        with pytest.raises(OutputError, match="holds a finished run"):
            check_run_dir(tmp_path, parties[:1])
    else:
        check_run_dir(tmp_path, parties[:1])


@pytest.mark.parametrize(("status", "is_refused"), [("completed", True), ("running", False), ("interrupted", False)])
def test_the_summary_of_a_simulation(status: str, is_refused: bool, parties: list[PartyConfig], tmp_path: Path) -> None:
    """In a simulation the summary decides: it comes last, after both parties have ended."""
    for config in parties:
        write_result(config, party_record())
    (tmp_path / "summary.json").write_text(json.dumps({"status": status}))
    if is_refused:
        with pytest.raises(OutputError, match="holds a finished run"):
            check_run_dir(tmp_path, parties)
    else:
        check_run_dir(tmp_path, parties)


def test_results_without_a_summary(parties: list[PartyConfig], tmp_path: Path) -> None:
    """A simulation does not write over what parties in shells of their own have finished."""
    write_result(parties[1], party_record())
    with pytest.raises(OutputError, match="holds a finished run"):
        check_run_dir(tmp_path, parties)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_result(content: str, parties: list[PartyConfig], tmp_path: Path) -> None:
    """What cannot be understood is neither finished nor free."""
    folder = party_folder(parties[0])
    folder.mkdir()
    (folder / RESULT_FILE).write_text(content)
    with pytest.raises(OutputError, match=r"party\.json is damaged; remove it"):
        check_run_dir(tmp_path, parties[:1])


def test_a_state_of_another_configuration(parties: list[PartyConfig], tmp_path: Path) -> None:
    """It is found before anything is created, also for the other party."""
    StateFolder(party_folder(parties[1]) / "states", party(role="b", seed=9)).save(1, {})
    with pytest.raises(OutputError, match="another configuration"):
        check_run_dir(tmp_path, parties)
    assert [path.name for path in tmp_path.iterdir()] == ["party_b"]


def test_a_folder_is_for_one_process(parties: list[PartyConfig], tmp_path: Path) -> None:
    """A second run of a party, alone or in a simulation, writes nothing; the other party may run beside it."""
    check_unused(party_folder(parties[0]))
    with claimed_run_dir(tmp_path, parties[:1]):
        for others in (parties[:1], parties):
            with pytest.raises(OutputError, match=r"party_a is in use by another run; wait .* or set another folder"):
                claimed_run_dir(tmp_path, others).__enter__()
        with pytest.raises(OutputError, match="in use"):
            check_unused(party_folder(parties[0]))
        with claimed_run_dir(tmp_path, parties[1:]):
            write_result(parties[0], party_record(status="completed"))
    check_unused(party_folder(parties[0]))
    with pytest.raises(OutputError, match="holds a finished run"), claimed_run_dir(tmp_path, parties[:1]):
        pass
