from __future__ import annotations

import math
from pathlib import Path

import pytest

from smule_crypten.errors import DataError, OutputError
from smule_crypten.report.journal import EpochJournal, read_journal
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunRecord


def test_events_come_back_as_written(tmp_path: Path, record: RunRecord) -> None:
    """record.jsonl holds every epoch event unchanged and in order."""
    path = tmp_path / "run" / "record.jsonl"
    with EpochJournal(path) as journal:
        for event in record.epochs:
            journal.append(event)
    assert read_journal(path) == record.epochs


def test_an_epoch_is_on_disk_before_the_journal_is_closed(tmp_path: Path, record: RunRecord) -> None:
    """A process that dies later loses no finished epoch."""
    with EpochJournal(tmp_path / "record.jsonl") as journal:
        journal.append(record.epochs[0])
        assert read_journal(tmp_path / "record.jsonl") == record.epochs[:1]


def test_a_truncated_last_line_is_left_out(tmp_path: Path, record: RunRecord) -> None:
    """What a crash cut short does not hide the epochs before it."""
    first, second, third = (epoch.model_dump_json() for epoch in record.epochs[:3])
    path = tmp_path / "record.jsonl"
    path.write_text(f"{first}\n{second}\n{third[:20]}")
    assert read_journal(path) == record.epochs[:2]


@pytest.mark.parametrize(
    ("line", "problem"), [('{"epo', "as a whole: Invalid JSON"), ('{"epoch": 1}', "party: Field required")]
)
def test_a_damaged_line_is_an_error(tmp_path: Path, record: RunRecord, line: str, problem: str) -> None:
    """Damage that truncation cannot explain is reported with its line, not skipped."""
    whole = record.epochs[0].model_dump_json()
    path = tmp_path / "record.jsonl"
    path.write_text(f"{whole}\n{line}\n{whole}\n")
    with pytest.raises(DataError, match=rf"record\.jsonl, line 2, is no EpochRecord: {problem}"):
        read_journal(path)


def test_a_loss_that_is_no_number_is_null(tmp_path: Path, record: RunRecord) -> None:
    """JSON has no NaN; the epoch of a training that diverged is read back all the same."""
    diverged = EpochRecord(**vars(record.epochs[0]) | {"loss": math.nan})
    with EpochJournal(tmp_path / "record.jsonl") as journal:
        journal.append(diverged)
    assert read_journal(tmp_path / "record.jsonl")[0].loss is None


def test_a_missing_journal_is_one_clear_line(tmp_path: Path) -> None:
    """A wrong path gives a message for users and no traceback."""
    with pytest.raises(DataError, match="cannot read"):
        read_journal(tmp_path / "record.jsonl")


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    """A folder that cannot exist is refused before training starts."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        EpochJournal(tmp_path / "file" / "record.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_an_output_error(record: RunRecord) -> None:
    """A disk that fills up during the run ends it with the documented error, also while closing."""
    journal = EpochJournal(Path("/dev/full"))
    with pytest.raises(OutputError, match="No space left"):
        journal.append(record.epochs[0])
    with pytest.raises(OutputError, match="No space left"):
        journal.close()
