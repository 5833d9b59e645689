from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from smule_crypten.errors import OutputError
from smule_crypten.report.logs import configure_logging, log_file


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the package, whose own settings are put back afterwards."""
    package = logging.getLogger("smule_crypten")
    before = package.level, list(package.handlers), package.propagate
    yield logging.getLogger("smule_crypten.transport.endpoint")
    package.setLevel(before[0])
    package.handlers, package.propagate = before[1:]


def test_one_line_an_event(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a message holds, also what a stranger sent, it is one line from which it can be read back."""
    configure_logging("INFO")
    message = 'turned away: "quoted"\nforged level=INFO\r\x1b[2J\u2028\x85'
    log.warning("%s", message)
    line = capsys.readouterr().err
    match = re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=WARNING "
        r'source=smule_crypten\.transport\.endpoint event=(".*")\n',
        line,
    )
    assert match
    assert json.loads(match[1]) == message


def test_the_level_decides(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Setting the level again replaces the earlier one, and no line comes twice."""
    configure_logging(logging.INFO)
    log.debug("unheard")
    configure_logging("DEBUG")
    log.debug("heard")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_log_file_keeps_all_attempts_and_how_each_ended(tmp_path: Path) -> None:
    """Lines are added, the error that ended an attempt is the last one, and nobody but the owner reads the file."""
    path = tmp_path / "party.log"

    def fail() -> None:
        logging.getLogger("smule_crypten.some.place").warning("something happened")
        raise OutputError("the disk is full")

    for _ in range(2):
        with pytest.raises(OutputError), log_file(path):
            fail()
    events = [line.partition(" event=")[2] for line in path.read_text().splitlines()]
    assert events == ['"something happened"', '"run ended error=OutputError: the disk is full"'] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logging.getLogger("smule_crypten.some.place").warning("afterwards")
    assert "afterwards" not in path.read_text()
    with pytest.raises(OutputError, match="cannot write"), log_file(tmp_path / "missing" / "party.log"):
        pass


def test_a_log_that_is_rotated_loses_no_line(tmp_path: Path) -> None:
    """As logrotate does with `create`: the file gets another name and an empty one its place, where the log goes on."""
    path, logger = tmp_path / "party.log", logging.getLogger("smule_crypten.some.place")
    with log_file(path):
        logger.warning("before")
        path.rename(tmp_path / "party.log.1")
        path.touch(0o600)
        logger.warning("after")
    assert "before" in (tmp_path / "party.log.1").read_text()
    assert path.read_text().count("\n") == 1
    assert "after" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
