"""Processes of a party that look after each other: who is silent, or says that it failed.

A thread of each leaves a sign of life in the store every second. Process 0 looks after all the others, these after it.
A process that is stuck in a step with one that is gone would wait for ever on a GPU: it is ended, with one line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed.distributed_c10d import Store

from smule_crypten.errors import PartyFailedError

_BEAT_SECONDS = 1.0
_TO_NOTICE_SECONDS = 3.0
"""How long a step that broke waits to hear why."""
_ENDED = "ended"


class Watch(threading.Thread):
    """Started at once; `stop` ends it.

    Args:
        store: of this party alone.
        deadline_seconds: the longest silence of another process.
        ended: tells which process of ours has ended and how, in words; None as long as there is none.
        named: from such words to the line that a user reads.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        size: int,
        deadline_seconds: float,
        ended: Callable[[], str | None] = lambda: None,
        named: Callable[[str], str] = str,
    ) -> None:
        super().__init__(name="compute watch", daemon=True)
        self._store, self._rank, self._deadline = store, rank, deadline_seconds
        self._ended, self._named = ended, named
        self._others = list(range(1, size)) if rank == 0 else [0]
        now = time.monotonic()
        self._seen = dict.fromkeys(self._others, ("", now))
        self._reason: str | None = None
        self._failed_at = 0.0
        self.is_in_step = False
        """Whether this process may be waiting for another one, and for nothing else."""
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        beats = 0
        while not self._over.wait(_BEAT_SECONDS / 4 if beats == 0 else _BEAT_SECONDS):
            beats += 1
            try:
                self._store.set(f"beat/{self._rank}", str(beats))
                self._look()
            except RuntimeError:  # the store is that of a process which is gone
                self._found("process 0 has ended")
            if self._reason is not None and self.is_in_step and time.monotonic() - self._failed_at > self._deadline:
                print(f"smule: error: {self._named(self._reason)}", file=sys.stderr, flush=True)
                os._exit(PartyFailedError.exit_code)

    @property
    def reason(self) -> str | None:
        """Why the others cannot go on; None as long as they can."""
        return self._reason

    def awaited_reason(self) -> str | None:
        """As reason, once there was time to hear it."""
        until = time.monotonic() + _TO_NOTICE_SECONDS
        while self._reason is None and time.monotonic() < until:
            time.sleep(_BEAT_SECONDS / 10)
        return self._reason

    def tell_failure(self, text: str, *, is_consequence: bool) -> None:
        """Of this process, to process 0. is_consequence: it may only be that another one has failed."""
        self._store.set(f"failed/{self._rank}", json.dumps([is_consequence, text]))

    def tell_end(self) -> None:
        """By process 0: that there is nothing more to do, or nobody to do it for."""
        self._store.set(_ENDED, "1")

    def wait_for_end(self, seconds: float) -> None:
        """Until process 0 says so, or so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.has_ended:
            time.sleep(_BEAT_SECONDS / 10)

    @property
    def has_ended(self) -> bool:
        """Whether process 0 is through, or gone with the store."""
        try:
            return self._has(_ENDED)
        except RuntimeError:
            return True

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        if self._reason is not None:
            return
        keys = [f"failed/{other}" for other in self._others]
        told = sorted(json.loads(self._store.get(key)) for key in keys if self._has(key))
        causes = [text for is_consequence, text in told if not is_consequence]
        ended = self._ended()
        for reason in [*causes, *([] if ended is None else [ended]), *(text for _, text in told)][:1]:
            self._found(reason)
        for other in self._others:
            key, (last, since) = f"beat/{other}", self._seen[other]
            beat = self._store.get(key).decode() if self._has(key) else ""
            if beat != last:
                self._seen[other] = beat, time.monotonic()
            elif time.monotonic() - since > self._deadline:
                self._found(f"process {other} has been silent for {self._deadline:g} seconds")

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _found(self, reason: str) -> None:
        if self._reason is None:
            self._reason, self._failed_at = reason, time.monotonic()
