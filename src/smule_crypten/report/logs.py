"""Structured logs: one line per event, time, level and where it comes from; never a share, key, weight or sample."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TextIO

from smule_crypten.files import output_error

_PACKAGE = "smule_crypten"


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


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Let the package's log go to path, too, and to what takes its place; what stood there stays. A failure ends it.

    Raises:
        OutputError: path cannot be written.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise output_error(path, error) from error
    handler.setFormatter(_OneLine())
    logger = logging.getLogger(_PACKAGE)
    logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        # The command shows it on the terminal in its own way.
        event = f"run ended error={type(error).__name__}: {error}"
        handler.handle(logger.makeRecord(__name__, logging.ERROR, __file__, 0, event, (), None))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def configure_logging(level: int | str) -> None:
    """Send the package's log to stderr, from this level on. Times are UTC."""
    handler = _ToStderr()
    handler.setFormatter(_OneLine())
    logger = logging.getLogger(_PACKAGE)
    logger.setLevel(level)
    logger.handlers = [handler]
    logger.propagate = False
