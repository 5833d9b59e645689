"""The status of a process: each change is on disk, nothing of the data is, and a process that was killed is known."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smule_crypten.errors import DataError, OutputError, PeerTimeoutError, StatusError
from smule_crypten.launch import status as command
from smule_crypten.status.keeper import Pulse, kept_status
from smule_crypten.status.record import STATUS_FILE, Progress, read_status
from smule_crypten.status.verdict import Verdict, folders_of, judged


def written(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / STATUS_FILE).read_text())
    assert isinstance(values, dict)
    return values


def seconds_after(verdict: Verdict, seconds: float) -> str:
    """The time so long after the last progress."""
    at = dt.datetime.fromisoformat(verdict.status.progress_at) + dt.timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds")


def call(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """smule-status, in this process."""
    monkeypatch.setattr(sys, "argv", ["smule-status", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_each_change_is_on_disk(tmp_path: Path) -> None:
    """In order, with the epoch of the phase; the file is for its owner alone, and read while it is written."""
    changes: list[tuple[Progress, dict[str, object]]] = [
        (Progress(phase="waiting"), {"phase": "waiting", "epoch": 0, "peer_connected": False}),
        (Progress(phase="agreeing", peer_connected=True), {"phase": "agreeing", "peer_connected": True}),
        (Progress(phase="standalone"), {"phase": "standalone", "epoch": 0}),
        (Progress(phase="standalone", epoch=4), {"epoch": 4, "peer_connected": True}),
        (Progress(phase="exchange"), {"phase": "exchange", "epoch": 0, "exchanges": 0}),
        (Progress(phase="smule", exchanges=1), {"phase": "smule", "epoch": 0, "exchanges": 1}),
        (Progress(phase="smule", epoch=2), {"epoch": 2}),
        (Progress(phase="exchange"), {"epoch": 2}),
        (Progress(), {"phase": "exchange", "epoch": 2, "exit_code": None, "error": None}),
    ]
    with kept_status(tmp_path, "a", epochs=4) as status:
        assert written(tmp_path)["phase"] == "starting"
        for progress, expected in changes:
            status.take(progress)
            assert written(tmp_path).items() >= expected.items()
            assert stat.S_IMODE((tmp_path / STATUS_FILE).stat().st_mode) == 0o600
    assert written(tmp_path).items() >= {"phase": "ended", "exit_code": 0, "error": None, "pid": os.getpid()}.items()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PeerTimeoutError("party b did not come within 6 seconds"), 6, "PeerTimeoutError: party b did not come within"),
        (OutputError("one\ntwo\x1b[1m"), 5, "OutputError: one two [1m"),
        (DataError("row 7, column age: 'ninety' is no number"), 3, "DataError; see the log"),
        (ZeroDivisionError("of patient-7.png"), 1, "ZeroDivisionError; see the log"),
        (OSError(28, "No space left on device"), 5, "OSError; see the log"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C or SIGTERM"),
    ],
)
def test_how_it_ended(error: BaseException, code: int, text: str, tmp_path: Path) -> None:
    """By exit code and one line; of errors that may name data, the kind alone."""
    with pytest.raises(type(error)), kept_status(tmp_path, "a", epochs=1):
        raise error
    verdict = judged(tmp_path, 60.0)
    assert (verdict.health, verdict.status.exit_code) == ("failed", code)
    assert verdict.status.error is not None
    assert verdict.status.error.startswith(text)
    assert len(verdict.status.error.splitlines()) == 1


def test_stale(tmp_path: Path) -> None:
    """A party that makes no progress for longer than is allowed; who waits for others is judged by nobody's clock."""
    with kept_status(tmp_path, "a", epochs=1) as status:
        status.take(Progress(phase="smule"))
        verdict = judged(tmp_path, 60.0)
        assert verdict.health == "running"
        assert judged(tmp_path, 60.0, seconds_after(verdict, 60.0)).health == "running"
        late = judged(tmp_path, 60.0, seconds_after(verdict, 60.5))
        assert (late.health, late.is_well, late.idle_seconds) == ("stale", False, 60.5)
        status.take(Progress(phase="waiting"))
        assert judged(tmp_path, 60.0, seconds_after(verdict, 9e6)).is_well
    assert judged(tmp_path, 60.0, seconds_after(verdict, 9e6)).health == "finished"


def test_a_pulse_is_slow(tmp_path: Path) -> None:
    """However many steps there are, it tells of work every five seconds."""
    seconds, told = iter([0.0, 1.0, 4.9, 5.0, 5.0, 9.9, 10.1, 10.1]), []
    pulse = Pulse(told.append, lambda: next(seconds))
    for _ in range(5):
        pulse()
    assert told == [Progress(), Progress()]


_KEEPER = """
import sys
from pathlib import Path
from smule_crypten.status.keeper import kept_status
from smule_crypten.status.record import Progress
with kept_status(Path(sys.argv[1]), "b", epochs=3) as status:
    status.take(Progress(phase="smule", peer_connected=True))
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """One that keeps its status in tmp_path until its input ends."""
    arguments = [sys.executable, "-c", _KEEPER, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "there\n"
        yield keeper
        keeper.kill()


def test_a_process_that_is_killed_is_dead(
    process: subprocess.Popen[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it wrote last still says that it runs; it is known to be dead by the lock that went with it."""
    assert call(str(tmp_path), monkeypatch=monkeypatch) == 0
    assert "running" in capsys.readouterr().out
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_status(tmp_path).exit_code is None
    assert call(str(tmp_path), "--json", monkeypatch=monkeypatch) == 16
    told = capsys.readouterr()
    assert json.loads(told.out)["processes"][0]["health"] == "dead"
    assert "dead: it ended without a word" in told.err


def test_looking_does_not_disturb(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """Many may look at once, and a process that ends in order after that is known as finished."""
    looking = [judged(tmp_path, 60.0) for _ in range(3)]
    assert {verdict.health for verdict in looking} == {"running"}
    process.communicate()
    assert judged(tmp_path, 60.0).health == "finished"


def test_a_process_starts_while_somebody_looks(tmp_path: Path) -> None:
    """A health check at the wrong moment must not keep a run from starting."""
    import fcntl
    import threading

    (tmp_path / ".status.lock").touch()
    with (tmp_path / ".status.lock").open("rb") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        begun = threading.Event()

        def run() -> None:
            with kept_status(tmp_path, "a", epochs=1):
                begun.set()

        thread = threading.Thread(target=run)
        thread.start()
        fcntl.flock(looker, fcntl.LOCK_UN)
        assert begun.wait(30.0)
        thread.join()


def test_all_processes_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An output folder stands for its parties; one that is not well decides, and is named."""
    assert call(str(tmp_path), monkeypatch=monkeypatch) == 16
    assert "no status.json in" in capsys.readouterr().err
    for name in ("party_a", "party_b", "dealer"):
        (tmp_path / name).mkdir()
        with kept_status(tmp_path / name, "dealer" if name == "dealer" else "b", epochs=1):
            pass
    assert folders_of(tmp_path) == [tmp_path / "party_a", tmp_path / "party_b", tmp_path / "dealer"]
    assert call(str(tmp_path), monkeypatch=monkeypatch) == 0
    with pytest.raises(PeerTimeoutError), kept_status(tmp_path / "party_b", "b", epochs=1):
        raise PeerTimeoutError("party a is silent")
    capsys.readouterr()
    assert call(str(tmp_path), monkeypatch=monkeypatch) == 16
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"{tmp_path / 'party_b'}: ended with exit code 6: PeerTimeoutError: party a is silent")
    assert "party_a" not in line


@pytest.mark.parametrize("content", ["", "{}", '{"schema_version": 2}', "[1]"])
def test_a_damaged_status(content: str, tmp_path: Path) -> None:
    (tmp_path / STATUS_FILE).write_text(content)
    with pytest.raises(StatusError, match=r"is damaged, or of another version"):
        judged(tmp_path, 60.0)


@pytest.mark.parametrize("seconds", ["0", "-3", "nan", "inf", "soon"])
def test_impossible_patience(seconds: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        command.parse([str(tmp_path), "--stale-after", seconds])
    assert ended.value.code == 2
