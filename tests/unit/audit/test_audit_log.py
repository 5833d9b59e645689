"""The audit log: what is done to its lines is noticed, and what a crash leaves is told and closed, never dropped."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from smule_crypten.audit.events import Alarmed, Answers, Ended, Exchanged, Line, Override, Recovered, Started
from smule_crypten.audit.log import GENESIS, opened_log, read_log
from smule_crypten.audit.summary import as_csv, as_json_lines, by_run, kinds, notable
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.errors import OutputError
from smule_crypten.launch import audit

STARTED = Started(
    command="training",
    version="1",
    certificate="aa",
    peer="bb",
    dealer=None,
    limits=DisclosureLimits(max_answers_total=40),
)


def exchanged(number: int) -> Exchanged:
    return Exchanged(exchange=number, asked=3, answered=4, public_asked=1, public_answered=2, dropped=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of one run: five lines."""
    path = tmp_path / "audit.jsonl"
    with opened_log(path, "a") as log:
        log.run = "f00d"
        log.append(STARTED)
        log.append(Answers(exchange=1, attempt=1, kind="first", answers=4, ledger="cc"))
        log.append(exchanged(1))
        log.append(Alarmed(exchange=1, test="recall", p_value=1e-9, suspects=(1,)))
        log.append(Ended(outcome="completed"))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(OutputError) as refused:
        read_log(path)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_each_line_holds_the_digest_of_the_one_before(path: Path) -> None:
    """Held against SHA-256 and JSON of the standard library; the file is for its owner alone."""
    previous = GENESIS
    for number, line in enumerate(path.read_text().splitlines(), 1):
        values = json.loads(line)
        assert (values["number"], values["previous"], values["party"], values["run"]) == (number, previous, "a", "f00d")
        previous = hashlib.sha256(line.encode()).hexdigest()
    assert read_log(path).digest == previous
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _cut(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[3:]]


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _added(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def _first_gone(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def _emptied(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"", *lines[2:]]


@pytest.mark.parametrize("change", [_cut, _swapped, _added, _first_gone, _emptied])
def test_lines_that_were_moved_are_noticed(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))
    refusal(path)


def test_every_changed_byte_is_noticed(path: Path) -> None:
    """Each byte but those of the last line, whose digest stands nowhere in the file; who keeps it sees that."""
    whole = path.read_bytes()
    digest = read_log(path).digest
    last = whole.rindex(b"\n", 0, -1) + 1
    for position in range(last):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        refusal(path)
    path.write_bytes(whole[:last] + whole[last:].replace(b"completed", b"refused"))
    assert read_log(path).digest != digest


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_torn_line_is_told_and_closed(path: Path, kept: int) -> None:
    """A crash in the middle of a line, at its beginning, or before its line end. What was there stays to the byte."""
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    torn = whole[: start + kept] if kept > 0 else whole[:kept]
    path.write_bytes(torn)
    found = read_log(path)
    assert (found.torn_from, found.torn_size) == (5, len(torn) - start)
    assert len(found.lines) == 4
    with opened_log(path, "a") as log:
        assert log.recovered
        log.append(exchanged(2))
    assert path.read_bytes().startswith(torn + b"\n")
    closed = read_log(path)
    assert closed.torn_from is None
    *_, recovered, last = closed.lines
    assert recovered.details == Recovered(from_line=5, size=len(torn) - start)
    assert (recovered.number, last.number) == (6, 7)
    assert recovered.previous == hashlib.sha256(torn[start:]).hexdigest()
    with opened_log(path, "a") as log:
        assert not log.recovered


def test_a_crash_while_it_recovers(path: Path) -> None:
    """The line `recovered` may itself be torn, at any byte; the next start closes both."""
    path.write_bytes(path.read_bytes()[:-9])
    before = path.read_bytes()
    with opened_log(path, "a"):
        pass
    after = path.read_bytes()
    for end in range(len(before) + 2, len(after)):
        path.write_bytes(after[:end])
        assert read_log(path).torn_from == 5
        with opened_log(path, "a"):
            pass
        assert read_log(path).torn_from is None


def test_a_damaged_line_is_not_taken_for_a_torn_one(path: Path) -> None:
    """Only what has no line end can have been cut off."""
    path.write_bytes(path.read_bytes() + b"half a li\n")
    assert "line 6 is damaged" in refusal(path)
    with pytest.raises(OutputError, match="line 6 is damaged"), opened_log(path, "a"):
        pass


def test_one_process_at_a_time(path: Path) -> None:
    with (
        opened_log(path, "a"),
        pytest.raises(OutputError, match=r"is in use by another run; .*audit\.path"),
        opened_log(path, "a"),
    ):
        pass


def test_somebody_else_writes(path: Path) -> None:
    with opened_log(path, "a") as log:
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(OutputError, match="was changed by somebody else"):
            log.append(exchanged(3))


def test_a_line_that_finds_no_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends the process; the log is as it was, and goes on once there is space."""
    before, write = path.read_bytes(), os.write
    with opened_log(path, "a") as log:
        monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:10]))
        with pytest.raises(OutputError, match="no space left for a whole line"):
            log.append(exchanged(3))
        monkeypatch.undo()
        assert path.read_bytes() == before
        log.append(exchanged(3))
    assert len(read_log(path).lines) == 6


def test_a_line_is_on_disk_before_the_process_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a test can see: the last call before append returns is fsync of this very file."""
    calls: list[str] = []
    write, sync = os.write, os.fsync
    with opened_log(path, "a") as log:
        monkeypatch.setattr(os, "write", lambda file, content: (calls.append("write"), write(file, content))[1])
        monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), sync(file))[1])
        log.append(exchanged(3))
    assert calls == ["write", "fsync"]


def test_what_the_summary_counts(path: Path) -> None:
    """By hand: one run of one exchange; a second start without an end."""
    with opened_log(path, "a") as log:
        log.run = "f00d"
        log.append(STARTED)
        log.append(exchanged(2))
    lines = read_log(path).lines
    (summary,) = by_run(lines)
    assert (summary.starts, summary.cut_off, summary.exchanges, summary.alarms) == (2, 1, 2, 1)
    assert (summary.asked, summary.answered, summary.charged) == (6, 8, 4)
    assert (summary.public_asked, summary.public_answered) == (2, 4)
    assert kinds(lines)["started"] == 2
    assert [text for _, text in notable(lines)] == ["alarm in exchange 1: recall, p = 1.0e-09"]


def test_overrides_in_words() -> None:
    line = read_line(Override(key="disclosure.repeats", before=2, now=None))
    assert [text for _, text in notable([line])] == ["override: disclosure.repeats raised from 2 to null"]


def read_line(details: Override) -> Line:
    return Line(number=1, time="t", party="a", run=None, details=details, previous=GENESIS)


def test_exports_are_the_lines(path: Path) -> None:
    """JSON lines to the byte; CSV by a reader of its own."""
    lines = read_log(path).lines
    assert as_json_lines(lines).encode() == path.read_bytes()
    rows = list(csv.DictReader(io.StringIO(as_csv(lines))))
    assert [row["event"] for row in rows] == ["started", "answers", "exchange", "alarm", "ended"]
    assert rows[0]["limits.max_answers_total"] == "40"
    assert (rows[2]["asked"], rows[2]["public_answered"], rows[3]["suspects"]) == ("3", "2", "1")
    assert [row["previous"] for row in rows] == [line.previous for line in lines]


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        audit.main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 0 and a verdict for a whole log; --json; exports that are never written over."""
    monkeypatch.setenv("COLUMNS", "120")
    digest = read_log(path).digest
    assert command(str(path), "--expect", digest) == 0
    out = capsys.readouterr().out
    assert f"VERIFIED: all 5 lines follow from each other, the last one is {digest}" in out
    assert "alarm in exchange 1: recall" in out
    for name in ("log.csv", "log.jsonl"):
        target = path.with_name(name)
        assert command(str(path), "--export", str(target), "--json") == 0
        assert json.loads(capsys.readouterr().out)["runs"][0]["charged"] == 4
        assert target.stat().st_size > 0
        assert command(str(path), "--export", str(target)) == 5
    assert command(str(path), "--export", str(path.with_suffix(".txt"))) == 2


def test_the_command_on_logs_that_are_not_whole(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """5: a digest that is gone, a torn line, a damaged one, no file."""
    digest, whole = read_log(path).digest, path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert command(str(path), "--expect", digest) == 5
    assert "was cut off or written anew" in capsys.readouterr().err
    path.write_bytes(whole[:-1])
    assert command(str(path)) == 5
    captured = capsys.readouterr()
    assert "CUT OFF: line 5 is not whole" in captured.out
    assert "line 5 is cut off" in captured.err
    path.write_bytes(whole.replace(b'"asked":3', b'"asked":2'))
    assert command(str(path)) == 5
    path.unlink()
    assert command(str(path)) == 5


def test_an_empty_log_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that was killed between making the file and its first line."""
    (tmp_path / "audit.jsonl").touch()
    assert command(str(tmp_path / "audit.jsonl")) == 0
    assert "VERIFIED: all 0 lines" in capsys.readouterr().out
