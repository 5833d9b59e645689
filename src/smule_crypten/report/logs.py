"""Structured logs: one line an event, time, level and where it comes from; never a share, key, weight or sample."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at the moment, so that lines go through a live display that has put itself there."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _OneLine(logging.Formatter):
    """time level=... source=... event="...", whatever characters the event holds."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = json.dumps(super().format(record))
        return f"{seconds}.{int(record.msecs):03d}Z level={record.levelname} source={record.name} event={event}"


def configure_logging(level: int | str) -> None:
    """Send the package's log to stderr, from this level on. Times are UTC."""
    handler = _ToStderr()
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("smule_crypten")
    logger.setLevel(level)
    logger.handlers = [handler]
    logger.propagate = False
