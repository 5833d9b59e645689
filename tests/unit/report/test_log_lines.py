from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from smule_crypten.report.logs import configure_logging


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the package, whose own settings are put back afterwards."""
    package = logging.getLogger("smule_crypten")
    before = package.level, list(package.handlers), package.propagate
    yield logging.getLogger("smule_crypten.mpc.endpoint")
    package.setLevel(before[0])
    package.handlers, package.propagate = before[1:]


def test_one_line_an_event(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a message holds, also what a stranger sent, it is one line from which it can be read back."""
    configure_logging("INFO")
    message = 'turned away: "quoted"\nforged level=INFO\r\x1b[2J\u2028\x85'
    log.warning("%s", message)
    line = capsys.readouterr().err
    match = re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=WARNING source=smule_crypten\.mpc\.endpoint event=(".*")\n', line
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
