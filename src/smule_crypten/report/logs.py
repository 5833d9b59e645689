"""Structured logs: one line an event, time, level and where it comes from; never a share, key, weight or sample."""

from __future__ import annotations

import logging
import sys
import time

FORMAT = "%(asctime)s.%(msecs)03dZ level=%(levelname)s event=%(name)s %(message)s"


def configure_logging(level: int) -> None:
    """Send the package's log to stderr. Times are UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger("smule_crypten")
    logger.setLevel(level)
    logger.handlers = [handler]
    logger.propagate = False
