"""How much work between the steps of a training does not slow it noticeably."""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.1


class Pace:
    """Credit of a tenth of the time in which others worked; what is not used up at once is not kept.

    Work that takes longer than its credit is paid off before there is more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_at = clock()
        self._credit = 0.0

    def spend(self, work: Callable[[float], None]) -> None:
        """Let `work` have as many seconds as it may, if any; call this between steps."""
        started = self._clock()
        self._credit = min(self._credit, 0.0) + SHARE * (started - self._left_at)
        if self._credit > 0:
            work(self._credit)
        self._left_at = self._clock()
        self._credit -= self._left_at - started
