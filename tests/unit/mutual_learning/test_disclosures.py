"""The ledger as a file: nothing that was written can be changed, removed or moved without being noticed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.errors import OutputError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import GENESIS, Entry, append_entry, last_digest, read_ledger
from smule_crypten.types import Disclosure

LINES = 4


def entry(number: int, previous: str) -> Entry:
    return Entry(
        run="r",
        peer=None,
        query_id=number,
        attempt=1,
        kind="first",
        to_party="b",
        num_samples=10 + number,
        model_step=0,
        time="2026-12-01T00:00:00+00:00",
        previous=previous,
    ).sealed()


def written(path: Path, count: int = LINES) -> list[bytes]:
    """A ledger of so many entries, and its lines."""
    entries: list[Entry] = []
    for number in range(1, count + 1):
        entries.append(entry(number, last_digest(entries)))
        append_entry(path, entries[-1])
    assert read_ledger(path) == entries
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    return path, written(path)


def test_lines_follow_from_each_other(ledger: tuple[Path, list[bytes]]) -> None:
    """Each names the digest of the one before; the first one names what no line can have."""
    entries = [Entry.model_validate_json(line) for line in ledger[1]]
    assert [one.previous for one in entries] == [GENESIS, *(one.digest for one in entries[:-1])]
    assert len({one.digest for one in entries}) == LINES


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_seen(ledger: tuple[Path, list[bytes]], data: Any) -> None:
    """Also in the last line, which no other line follows, and also a line break."""
    path, lines = ledger
    content = bytearray(b"".join(lines))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(OutputError, match=rf"ledger .*, line [1-{LINES + 1}]"):
        read_ledger(path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_removed_or_moved_line_is_seen(ledger: tuple[Path, list[bytes]], data: Any) -> None:
    """But for those at the end, which a head is for."""
    path, lines = ledger
    kept = data.draw(st.lists(st.sampled_from(lines), max_size=LINES + 2))
    if kept == lines[: len(kept)] and kept:
        path.write_bytes(b"".join(kept))
        assert len(read_ledger(path)) == len(kept)
        return
    path.write_bytes(b"".join(kept))
    with pytest.raises(OutputError, match=r"line \d+ "):
        read_ledger(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 is missing"),
        (b"\n", "line 1 is damaged"),
        (b"\xff\xfe\n", "line 1 is damaged"),
        (b'{"run": "r", "query_id": 2}\n', "line 1 is damaged"),
        (b'{"run": "r", "peer', "line 1 is cut off; .*remove the line alone"),
        (
            b'{"run":"r","peer":null,"query_id":1,"to_party":"b","num_samples":3,"model_step":0}\n',
            r"of an earlier version.*take what it counts off disclosure\.max_answers_total",
        ),
    ],
)
def test_damaged_ledger_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    """A ledger that cannot be read would forget what was disclosed, and begin a new budget. It stays as it is."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=message):
        read_ledger(path)
    assert path.read_bytes() == content


def test_a_line_is_on_disk_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after append_entry loses no line: file and folder were synced, the folder last."""
    synced: list[bool] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    path = tmp_path / "ledger.jsonl"
    first = entry(1, GENESIS)
    append_entry(path, first)
    assert synced == [False, True]
    before = path.stat().st_ino
    append_entry(path, entry(2, first.digest))
    assert synced == [False, True] * 2
    assert path.stat().st_ino == before  # appended, not replaced


def test_a_line_that_could_not_be_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the ledger as it was, so that the run can go on once there is room."""
    path = tmp_path / "ledger.jsonl"
    (line,) = written(path, 1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device; fix that, since nothing is answered without"):
        append_entry(path, entry(2, read_ledger(path)[0].digest))
    assert path.read_bytes() == line


def charge(folder: Path, number: int) -> None:
    head = folder / "head.json"
    budget = QueryBudget(
        DisclosureConfig(max_answers_total=100), folder / "ledger.jsonl", run="r", peer=None, head=head
    )
    budget.plan("b", ())
    budget.charge(Disclosure(query_id=number, to_party="b", num_samples=5, model_step=0))


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_lines_cut_off_at_the_end_are_seen_by_who_saw_them(tmp_path: Path, kept: int) -> None:
    """The chain cannot tell; the output folder remembers how far it goes. Also where the whole ledger is gone."""
    for number in (1, 2, 3):
        charge(tmp_path, number)
    path = tmp_path / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:kept]))
    if kept == 0:
        path.unlink()
    with pytest.raises(OutputError, match=rf"has {kept} lines and lacks some that it had: .*knows of 3; restore"):
        charge(tmp_path, 4)
    path.write_bytes(b"".join(lines))
    charge(tmp_path, 4)


def test_a_head_that_is_behind(tmp_path: Path) -> None:
    """A crash between the line and the head, or another run on the same ledger, is no loss."""
    charge(tmp_path, 1)
    head = (tmp_path / "head.json").read_bytes()
    charge(tmp_path, 2)
    (tmp_path / "head.json").write_bytes(head)
    charge(tmp_path, 3)


def test_a_head_goes_with_its_folder(tmp_path: Path) -> None:
    """A folder that was moved, or is reached by another name, still notices a ledger that was cut."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    for number in (1, 2, 3):
        charge(first, number)
    first.rename(second)
    charge(second, 4)
    ledger = second / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    second.rename(first)
    (first / "ledger.jsonl").write_bytes(b"".join(lines[:2]))
    with pytest.raises(OutputError, match=r"is not the one that .*head\.json knows.* remove head\.json if another"):
        charge(first, 5)


def test_a_damaged_head(tmp_path: Path) -> None:
    """It may not be forgotten either."""
    charge(tmp_path, 1)
    (tmp_path / "head.json").write_text("{}")
    with pytest.raises(OutputError, match=r"head\.json is damaged; restore it"):
        charge(tmp_path, 2)
