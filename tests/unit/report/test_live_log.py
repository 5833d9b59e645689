"""The log of a process, beside what it shows on a terminal."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from smule_crypten.report.logs import configure_logging
from smule_crypten.report.progress import LiveProgress


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """That of the package, as it was before afterwards."""
    log = logging.getLogger("smule_crypten")
    level, handlers, propagate = log.level, log.handlers, log.propagate
    yield log
    log.setLevel(level)
    log.handlers, log.propagate = handlers, propagate


class _Stderr(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_go_through_the_live_display(
    is_terminal: bool, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a line stands above the bars and does not tear them; a log that goes to a file stays whole."""
    screen, stderr = io.StringIO(), _Stderr(is_terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logging("INFO")
    log.info("before")
    with LiveProgress(Console(file=screen, width=200, force_terminal=True), {("a", "smule"): 3}):
        log.info("exchange begun")
    log.info("after")
    lines = [line.rpartition("event=")[2] for line in stderr.getvalue().splitlines()]
    assert lines == (['"before"', '"after"'] if is_terminal else ['"before"', '"exchange begun"', '"after"'])
    assert ('event="exchange begun"' in screen.getvalue()) is is_terminal
