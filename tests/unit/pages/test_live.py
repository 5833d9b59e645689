"""The live page of a run: what it says while the run goes on, once it has ended, and where files are odd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from html_pages import Page
from run_files import write_finished, write_running

from smule_crypten.errors import DataError
from smule_crypten.pages import live
from smule_crypten.pages.live import LivePage, find_run, read_run
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import build_summary


def _text(folder: Path) -> str:
    return Page(LivePage(folder).fragment()).text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_run_that_goes_on(record_of_a: RunRecord, tmp_path: Path) -> None:
    """The state, the epochs that are whole, and both plots; the half line behind them does no harm."""
    write_running(tmp_path, record_of_a, epochs=5)
    assert [epoch.epoch for epoch in read_run(tmp_path)[0].epochs] == [1, 2, 3, 1, 2]
    text = _text(tmp_path)
    assert "Running: a SMuLe, epoch 2 of 3" in text
    assert "So far the exchanges took" in text
    assert "last epoch written" in text
    assert len(Page(LivePage(tmp_path).fragment()).all("svg")) == 2


def test_a_run_that_has_just_begun(record_of_a: RunRecord, tmp_path: Path) -> None:
    """There is a summary, but no epoch, and then not even their file."""
    write_running(tmp_path, record_of_a, epochs=0)
    assert "No epoch is finished yet." in _text(tmp_path)
    (tmp_path / "record.jsonl").unlink()
    assert "No epoch is finished yet." in _text(tmp_path)


def test_a_finished_run(record: RunRecord, tmp_path: Path) -> None:
    """It says what the report says: the summary at its end, and not what epochs alone tell."""
    write_finished(tmp_path, record)
    assert read_run(tmp_path)[1] == build_summary(record)
    text = _text(tmp_path)
    assert text.startswith("Completed")
    assert "2.0 points better than alone (90.0 %)" in text
    assert "It cost 10.00 MB in 185 rounds" in text


def test_a_failed_run_says_why(partial_record: RunRecord, tmp_path: Path) -> None:
    """As the report does."""
    write_finished(tmp_path, partial_record)
    assert "This run is not complete. failed: party b: out of memory" in _text(tmp_path)


def test_it_is_drawn_anew_when_the_record_has_changed(
    record_of_a: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that many look at costs as much as one, a status that says "still at work" draws nothing, and the next
    epoch is there at once."""
    drawn: list[Path] = []
    real = live.read_run
    monkeypatch.setattr(live, "read_run", lambda folder: drawn.append(folder) or real(folder))
    write_running(tmp_path, record_of_a, epochs=4)
    page = LivePage(tmp_path)
    assert page.fragment() == page.fragment()
    (tmp_path / "status.json").write_text('{"phase": "exchange"}')
    assert "exchange" in page.fragment()
    assert len(drawn) == 1
    write_running(tmp_path, record_of_a, epochs=5)
    assert "a SMuLe, epoch 2 of 3" in page.fragment()
    assert len(drawn) == 2


def test_status_is_shown_where_there_is_one(record_of_a: RunRecord, tmp_path: Path) -> None:
    """Whatever stands in it, escaped; a file that is cut off or too large is no reason to show nothing."""
    write_running(tmp_path, record_of_a, epochs=1)
    assert "status.json" not in _text(tmp_path)
    status = {"phase": "<b>alone</b>", "pid": 4711, "exit": {"code": None}}
    (tmp_path / "status.json").write_text(json.dumps(status))
    fragment = LivePage(tmp_path).fragment()
    assert "<b>" not in fragment
    text = Page(fragment).text
    for shown in ("phase <b>alone</b>", "pid 4711", "exit.code –"):
        assert shown in text
    (tmp_path / "status.json").write_text('{"phase": ')
    assert "problem cannot be read" in _text(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps({"phase": "x" * 70_000}))
    assert "status.json" not in _text(tmp_path)


def test_a_damaged_record_is_said_and_not_shown(record_of_a: RunRecord, tmp_path: Path) -> None:
    """The page lives on: the next look may find it whole."""
    write_running(tmp_path, record_of_a, epochs=1)
    (tmp_path / "record.jsonl").write_text("<script>\n")
    fragment = LivePage(tmp_path).fragment()
    assert "The record cannot be read now." in fragment
    assert "<script" not in fragment


def test_the_folder_of_a_run_is_found(record_of_a: RunRecord, tmp_path: Path) -> None:
    """A simulation's own, a party's, and the one of the only party below; two parties are two records."""
    party = tmp_path / "run" / "party_a"
    with pytest.raises(DataError, match=r"run holds no summary\.json; give the folder of a run"):
        find_run(tmp_path / "run")
    write_running(party, record_of_a, epochs=1)
    assert find_run(party) == find_run(tmp_path / "run") == party
    write_running(tmp_path / "run" / "party_b", record_of_a, epochs=1)
    with pytest.raises(DataError, match=r"holds the records of 2 parties; give one of them, as .*party_a$"):
        find_run(tmp_path / "run")
    write_running(tmp_path / "run", record_of_a, epochs=1)
    assert find_run(tmp_path / "run") == tmp_path / "run"
