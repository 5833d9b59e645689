"""What a listening port logs of its visitors: one line an address and minute, however many come.

Whoever can reach the port could otherwise fill the disk, or hide a line among millions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_INTERVAL_SECONDS = 60.0
_MAX_KEYS = 256
"""Told apart at the same time. All others share one line, since addresses cost an attacker little, too."""
_OTHERS = "other addresses"


@dataclass
class _Kept:
    """When the next line may come, how many were kept back since the last one, and the latest of them."""

    due_at: float
    count: int = 0
    level: int = 0
    text: str = ""


class VisitorLog:
    """Thread-safe. What is kept back is logged when the next event comes after its minute, or by flush.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def note(self, level: int, key: str, text: str) -> None:
        """Log text, or keep it back if a line of this key was logged within a minute.

        Args:
            key: the address of the visitor.
        """
        with self._lock:
            now = self._clock()
            self._log_what_is_due(now)
            if key not in self._kept and len(self._kept) >= _MAX_KEYS:
                key = _OTHERS
            if key in self._kept:
                kept = self._kept[key]
                kept.count, kept.level, kept.text = kept.count + 1, level, text
            else:
                self._kept[key] = _Kept(due_at=now + _INTERVAL_SECONDS)
                self._log.log(level, "%s", text)

    def flush(self) -> None:
        """Log what is kept back, and begin again."""
        with self._lock:
            for key, kept in self._kept.items():
                self._log_kept(key, kept)
            self._kept.clear()

    def _log_what_is_due(self, now: float) -> None:
        for key, kept in list(self._kept.items()):
            if now < kept.due_at:
                continue
            if kept.count == 0:
                del self._kept[key]
                continue
            self._log_kept(key, kept)
            self._kept[key] = _Kept(due_at=now + _INTERVAL_SECONDS)

    def _log_kept(self, key: str, kept: _Kept) -> None:
        if kept.count:
            self._log.log(kept.level, "%s (the last of %d more from %s)", kept.text, kept.count, key)
