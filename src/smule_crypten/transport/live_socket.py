"""A frame socket that is kept alive: a thread shows life and looks for it, and whoever waits sends and receives.

Both threads go through one lock.
"""

from __future__ import annotations

import math
import select
import ssl
import threading
import time
from collections.abc import Callable

from smule_crypten.errors import PeerTimeoutError, SmuleError
from smule_crypten.transport.frame_socket import FrameSocket

HEARTBEATS_PER_DEADLINE = 6
_LONGEST_INTERVAL_SECONDS = 1.0
"""Between two looks at what came in, and so the longest time until an end or a refusal is noticed."""


class LiveSocket:
    """What Link (link.py) is made on; its arguments are described there."""

    def __init__(self, connection: ssl.SSLSocket, peer: str, deadline_seconds: float) -> None:
        self.peer = peer
        self.companions: list[LiveSocket] = []
        self.deadline_seconds = deadline_seconds
        self._frames = FrameSocket(connection, peer)
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._is_waiting = False
        self._leaves_at = math.inf
        self._interval = min(deadline_seconds / HEARTBEATS_PER_DEADLINE, _LONGEST_INTERVAL_SECONDS)
        self._shows_life_at = time.monotonic() + self._interval
        self._closing = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"heartbeat to {peer}", daemon=True)
        self._heart.start()

    @property
    def is_over(self) -> bool:
        """Whether the link has failed or the other side has ended it."""
        return self._frames.failure is not None or self._frames.incoming.ended

    def check(self) -> None:
        """Raise what the heartbeat thread has found wrong with the link meanwhile. Cheap; call it between steps."""
        self._frames.check()

    def _wait_until(self, is_done: Callable[[], bool]) -> None:
        """Send and receive until is_done.

        It is asked before any failure is looked at, so that what came in before the other side gave up is still read.
        """
        self._is_waiting = True
        try:
            while not self._move(is_done):
                self._poll.poll(1 + 1000 * min(self._patience(), _LONGEST_INTERVAL_SECONDS))
        finally:
            self._is_waiting = False

    def _move(self, is_done: Callable[[], bool]) -> bool:
        """Send and receive what can be; returns whether is_done, or else what to poll for is registered."""
        with self._lock:
            while not is_done():
                self.check()
                for companion in self.companions:
                    companion.check()
                self._show_life_if_due()
                sent = self._frames.try_send()
                if self._frames.try_receive() or sent:
                    self._grant_time()
                    continue
                if self._frames.incoming.ended:
                    raise self._frames.ended_early()
                events = select.POLLOUT if self._frames.outgoing else 0
                events |= select.POLLIN if len(self._frames.incoming.target) else 0
                self._poll.register(self._frames.socket, events)
                return False
        return True

    def _move_without_waiting(self) -> None:
        """Send what the network takes, and receive what has come and has a place."""
        with self._lock:
            self.check()
            while self._frames.try_send():
                pass
            while self._frames.try_receive():
                pass

    def _grant_time(self) -> None:
        """While this side reads nothing, signs of life wait unread in the socket; silence proves nothing yet."""
        if self._frames.incoming.is_suspended:
            self._frames.heard = time.monotonic()

    def _patience(self) -> float:
        """Seconds that the other side has left. Raises PeerTimeoutError where there are none."""
        now = time.monotonic()
        patience = min(self._frames.heard + self.deadline_seconds, self._leaves_at) - now
        if patience <= 0:
            silence = f"{self.peer} was silent for {now - self._frames.heard:.1f} seconds"
            raise self._frames.fail(PeerTimeoutError(f"{silence}; see whether it and the network still run"))
        return patience

    # -- the heartbeat thread --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self._closing.wait(self._interval):
            try:
                with self._lock:
                    if self.is_over:
                        return
                    self._beat_once()
            except SmuleError:
                return  # kept in the failure, which the next wait or check raises

    def _beat_once(self) -> None:
        self._show_life_if_due()
        self._frames.try_send()
        if self._is_waiting:
            return  # the other thread receives and judges; what it is about to poll for must not be taken from it
        while self._frames.try_receive():
            pass
        incoming = self._frames.incoming
        if not incoming.is_suspended and not incoming.ended:
            self._patience()

    def _show_life_if_due(self) -> None:
        """Both threads do this: one that reads a long tensor as fast as it can hardly lets the other one in."""
        now = time.monotonic()
        if now >= self._shows_life_at:
            self._shows_life_at = now + self._interval
            self._frames.give_sign_of_life()
