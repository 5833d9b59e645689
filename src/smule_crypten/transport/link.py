"""One authenticated, encrypted link to one other process, and the frames on it.

A link never waits longer than its deadline without a sign of life: a thread sends a heartbeat while this side
computes, and notes when the other side falls silent, ends or gives up. Sending and receiving interleave, so that two
sides that send at once cannot block each other. Large tensors move between their own memory and the TLS layer without
another copy.

A length that the other side announces costs no memory. A tensor goes where the receiver has room of exactly its size,
or is refused. One that comes before it is asked for is taken in piece by piece, as far as the receiver has decided to
hold what comes early (transport/early.py).

Whoever leaves says so (BYE or REFUSAL) and closes only when the other side has answered with BYE: closing a socket
with unread bytes in it would destroy what is still on its way to the other side.
"""

from __future__ import annotations

import json
import math
import select
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from smule_crypten.errors import PeerError, PeerTimeoutError, SmuleError
from smule_crypten.transport.early import EarlyTensors
from smule_crypten.transport.frame_socket import FrameSocket
from smule_crypten.transport.frames import Frame, Kind
from smule_crypten.types import DEALER

HEARTBEATS_PER_DEADLINE = 6
_LONGEST_INTERVAL_SECONDS = 1.0
"""Between two looks at what came in, and so the longest time until an end or a refusal is noticed."""
_REFUSAL_SECONDS = 2.0
"""How long a side that gives up may stay to say so: refuse and close together."""


class Link:
    """Frames over a connected TLS socket. All methods but `check` belong to one thread.

    Args:
        connection: handshaken TLS socket; the link takes it over.
        peer: the other process in messages, for example "party b".
        deadline_seconds: longest silence of the other side.

    companions are the other links of this process: while one is waited for, the failure of another ends the wait.
    """

    def __init__(self, connection: ssl.SSLSocket, peer: str, deadline_seconds: float) -> None:
        self.peer = peer
        self.companions: list[Link] = []
        self.deadline_seconds = deadline_seconds
        self._frames = FrameSocket(connection, peer)
        self._lock = threading.Lock()
        self._early = EarlyTensors(self._frames.incoming)
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

    def transfer(self, outgoing: Sequence[memoryview], incoming: Sequence[memoryview]) -> None:
        """Send each buffer as a TENSOR frame and fill each incoming buffer from one, both at the same time.

        Raises:
            PeerTimeoutError, PeerDisconnectedError: the other side is silent or gone.
            PeerRefusedError, PeerDeclinedError, HandshakeError: it gave up and said why.
            ProtocolError: it sent something else than a tensor of the agreed size.
        """
        for buffer in outgoing:
            self._enqueue(Kind.TENSOR, buffer)
        for buffer in incoming:
            if self._early:
                self._check_length("TENSOR", self._early.next_length, buffer)
                self._fill_from_early(buffer)
                continue
            frame = self._next_frame()
            self._check_length(frame.kind.name, frame.length, buffer)
            self._fill(buffer, frame)
        self.flush()

    def read_ahead(self, limit: int) -> None:
        """Take in, without waiting, what tensors have come before they are asked for, until they hold limit bytes.

        Raises:
            PeerError, ProtocolError: the link has failed.
        """
        with self._lock:
            self.check()
            while True:
                while self._frames.try_receive():
                    pass
                if not self._early.take(limit):
                    return

    @property
    def early_bytes(self) -> int:
        """Memory of the tensors that came before they were asked for."""
        return self._early.held

    def send_json(self, value: object) -> int:
        """Send one JSON value; returns its bytes."""
        data = json.dumps(value).encode()
        self._enqueue(Kind.JSON, memoryview(data))
        self.flush()
        return len(data)

    def receive_json(self) -> tuple[Any, int]:
        """Receive one JSON value; returns it and its bytes."""
        if self._early:
            raise self._frames.violation("it sent a TENSOR frame where a JSON message was due")
        frame = self._next_frame()
        if frame.kind is not Kind.JSON or frame.payload is None:
            raise self._frames.violation(f"it sent a {frame.kind.name} frame where a JSON message was due")
        try:
            return json.loads(frame.payload.decode()), frame.length
        except (ValueError, RecursionError):
            raise self._frames.violation("it sent a message that is not JSON") from None

    def limit_messages(self, num_bytes: int) -> None:
        """From now on the other side has no longer message to send than this."""
        with self._lock:
            self._frames.incoming.reader.json_limit = num_bytes

    def refuse(self, reason: str, kind: str | None = None) -> None:
        """Tell the other side why this side gives up, as well as that still works within a moment.

        Args:
            kind: class of the error, by which the other side knows whether another try is worth it.
        """
        if self._frames.said_bye:
            return
        self._leave_within(_REFUSAL_SECONDS)
        try:
            self._enqueue(Kind.REFUSAL, memoryview(json.dumps({"kind": kind, "reason": reason}).encode()))
            self.flush()
        except SmuleError:
            pass  # it is gone, so it needs no reason

    def check(self) -> None:
        """Raise what the heartbeat thread has found wrong with the link meanwhile. Cheap; call it between steps."""
        self._frames.check()

    def close(self) -> None:
        """End the link in order, if it still works: wait until the other side, if alive, has read what was sent."""
        if self._closing.is_set():
            return
        self._leave_within(math.inf)
        try:
            with self._lock:
                self._frames.say_bye()
            self._wait_until(lambda: self._frames.incoming.ended and not self._frames.outgoing)
        except SmuleError:
            pass  # the other side ended first
        finally:
            self._closing.set()
            self._heart.join()
            self._frames.socket.close()

    def flush(self) -> None:
        """Send everything that waits to be sent.

        Tensors that come meanwhile are taken in ahead of time, until they hold as many bytes as wait to be sent: else
        two sides that send more than the network holds would wait for each other. The one with less to send gets rid
        of it.
        """
        with self._lock:  # the heartbeat thread sends, too
            limit = sum(map(len, self._frames.outgoing))

        def is_sent() -> bool:
            self._early.take(limit)
            return not self._frames.outgoing

        self._wait_until(is_sent)

    def _check_length(self, kind: str, length: int, buffer: memoryview) -> None:
        if kind != "TENSOR" or length != len(buffer):
            found = f"a {kind} frame of {length} bytes"
            raise self._frames.violation(f"it sent {found} where a tensor of {len(buffer)} bytes was due")

    # -- frames ------------------------------------------------------------------------------------------------------

    def _enqueue(self, kind: Kind, data: memoryview) -> None:
        with self._lock:
            self._frames.enqueue(kind, data)
            self._grant_time()

    def _next_frame(self) -> Frame:
        """The next frame; sends what waits meanwhile."""
        self._wait_until(lambda: len(self._frames.incoming.frames) > 0)
        with self._lock:
            return self._frames.take_frame()

    def _fill_from_early(self, buffer: memoryview) -> None:
        tensor = self._early.pop()
        if not self._early:
            self._wait_until(lambda: not self._frames.incoming.is_placed)
        start = tensor.copy_into(buffer)
        if start < len(buffer):
            self._fill(buffer[start:], Frame(Kind.TENSOR, tensor.length, None))

    def _fill(self, buffer: memoryview, frame: Frame) -> None:
        if frame.payload is not None:
            buffer[:] = frame.payload
            return
        with self._lock:
            self._frames.incoming.place(buffer)
        self._wait_until(lambda: not self._frames.incoming.is_placed)

    def _leave_within(self, seconds: float) -> None:
        # Whatever became of the other links must not keep this one from a proper end.
        self.companions = []
        self._leaves_at = min(self._leaves_at, time.monotonic() + seconds)
        with self._lock:
            self._frames.incoming.discard()

    # -- waiting -----------------------------------------------------------------------------------------------------

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


def give_up(links: Collection[Link], error: BaseException) -> None:
    """End the links because of error. The other sides learn of it, and what it was if that is public.

    The dealer learns the kind of error only, and about which process it is: what the parties disagree on is not its
    business.
    """
    kind = type(error).__name__
    about = f" ({error.about})" if isinstance(error, PeerError) and error.about is not None else ""
    kind_only = f"{kind}{about}; see its own log"
    is_public = isinstance(error, SmuleError) and error.tell_peer
    for link in links:
        link.refuse(str(error) if is_public and link.peer != DEALER else kind_only, kind)
    for link in links:
        link.close()
