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

from smule_crypten.audit.events import (
    Alarmed,
    Answers,
    Ended,
    Event,
    Exchanged,
    HeadAsked,
    Line,
    Override,
    Recovered,
    Started,
)
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
    ledger=GENESIS,
    answered=0,
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


@pytest.mark.parametrize("content", [b"id,age\n1,44\n2,51", b"\x80PK\x03", b'{"schema_version":2,"number":1'])
def test_another_file_is_not_taken_for_a_torn_log(content: bytes, tmp_path: Path) -> None:
    """Whoever names a file of data by mistake finds it as it was, its mode with it."""
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    path.chmod(0o640)
    assert "line 1 is damaged" in refusal(path)
    with pytest.raises(OutputError, match="line 1 is damaged"), opened_log(path, "a"):
        pass
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o640)


def test_zeros_after_a_power_cut(path: Path) -> None:
    """A file system may have made the file longer, and not written what stands there."""
    path.write_bytes(path.read_bytes() + b'{"schema' + bytes(90))
    assert read_log(path).torn_from == 6
    with opened_log(path, "a") as log:
        log.append(exchanged(3))
    assert [line.number for line in read_log(path).lines[-2:]] == [7, 8]


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


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
def test_a_log_that_is_taken_away(how: str, path: Path) -> None:
    """By a rotation, say: no line goes into a file that nobody finds, and what was moved stays as it is."""
    content = path.read_bytes()
    with opened_log(path, "a") as log:
        path.rename(path.with_name("moved"))
        if how == "removed":
            path.with_name("moved").unlink()
        if how == "replaced":
            path.write_bytes(content)
        with pytest.raises(OutputError, match="was moved away, removed or replaced in this run"):
            log.append(exchanged(3))
    if how != "removed":
        assert path.with_name("moved").read_bytes() == content


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe keeps nothing: one line, and its mode stays."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o640)
    mode = pipe.stat().st_mode
    with pytest.raises(OutputError, match="it is no file, and keeps nothing"), opened_log(pipe, "a"):
        pass
    assert pipe.stat().st_mode == mode


def test_a_file_of_somebody_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this account may write and not own ends with one line, too."""

    def refuse(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(OutputError, match=r"cannot write audit log .*Operation not permitted"), opened_log(path, "a"):
        pass


def test_an_interruption_between_a_line_and_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM mostly comes while a process waits for the disk: the line is there, and the end is told behind it."""

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with opened_log(path, "a") as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                log.append(exchanged(3))
        log.append(Ended(outcome="stopped"))
    assert [line.details for line in read_log(path).lines[-2:]] == [exchanged(3), Ended(outcome="stopped")]


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
    assert [text for _, text in notable([line])] == ["override: disclosure.repeats loosened from 2 to null"]


def read_line(details: Event, number: int = 1, second: int = 0) -> Line:
    time = f"2026-11-30T06:00:{second:02d}.000+00:00"
    return Line(number=number, time=time, party="a", run=None, details=details, previous=GENESIS)


def test_a_joint_head_is_counted_apart(path: Path) -> None:
    """charged is what `disclosure` limits: numbers of a check, weights and losses are no answers of a network."""
    with opened_log(path, "a") as log:
        log.run = "f00d"
        for kind, count in (("joint_head_check", 16), ("joint_head", 7), ("joint_head_losses", 3), ("second", 2)):
            log.append(Answers(exchange=1, attempt=1, kind=kind, answers=count, ledger="cc"))  # type: ignore[arg-type]
        for _ in range(2):
            log.append(HeadAsked(asked=9, answered=7, revealed=False))
        log.append(Answers(exchange=1, attempt=1, kind="joint_head_weights", answers=650, ledger="cc"))
    lines = read_log(path).lines
    (summary,) = by_run(lines)
    assert (summary.charged, summary.head_charged, summary.head_asked) == (6, 7, 9)
    assert "weights of the joint head revealed: 650" in [text for _, text in notable(lines)]


def test_a_clock_that_was_set_back_is_told() -> None:
    lines = [read_line(exchanged(number), number, second) for number, second in ((1, 5), (2, 5), (3, 4), (4, 6))]
    assert [text for _, text in notable(lines)] == ["clock: line 3 bears an earlier time than the one before"]


@pytest.mark.parametrize("word", ["\x1b]0;title\x07", "=cmd|'/C calc'!A0", "two words", "", "-1+1", "@SUM(A1)", "a\n"])
def test_no_line_of_somebody_else_commands_a_terminal_or_a_spreadsheet(word: str, tmp_path: Path) -> None:
    """Who audits the log of the other side reads texts that this one may have chosen: such a line is damage."""
    details = STARTED.model_copy(update={"version": word})
    line = read_line(STARTED).model_copy(update={"details": details})
    path = tmp_path / "theirs.jsonl"
    path.write_bytes(line.model_dump_json().encode() + b"\n")
    assert "line 1 is damaged" in refusal(path)


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
    assert "was cut off or written again" in capsys.readouterr().err
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
