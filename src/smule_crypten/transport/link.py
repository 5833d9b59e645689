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
import ssl
import time
from collections.abc import Sequence
from typing import Any

from smule_crypten.errors import SmuleError
from smule_crypten.transport.early import EarlyTensors
from smule_crypten.transport.frames import Frame, Kind
from smule_crypten.transport.live_socket import LiveSocket

_REFUSAL_SECONDS = 2.0
"""How long a side that gives up may stay to say so: refuse and close together."""


class Link(LiveSocket):
    """Frames over a connected TLS socket. All methods but `check` belong to one thread.

    Args:
        connection: handshaken TLS socket; the link takes it over.
        peer: the other process in messages, for example "party b".
        deadline_seconds: longest silence of the other side.

    companions are the other links of this process: while one is waited for, the failure of another ends the wait.
    """

    def __init__(self, connection: ssl.SSLSocket, peer: str, deadline_seconds: float) -> None:
        super().__init__(connection, peer, deadline_seconds)
        self._early = EarlyTensors(self._frames.incoming)

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
            self._receive(buffer)
        self.flush()

    def post(self, buffer: memoryview) -> None:
        """Let a TENSOR frame leave while this side does other work; the buffer must stay as it is until then.

        What the network does not take at once goes with later messages, looks and signs of life, in order.

        Raises:
            PeerError, ProtocolError: the link has failed.
        """
        self._enqueue(Kind.TENSOR, buffer)
        self._move_without_waiting()

    def take_arrived(self, buffer: memoryview) -> bool:
        """Fill buffer from the next tensor if all of it has come; says whether it had. Never waits.

        Raises:
            PeerError: the link has failed.
            ProtocolError: likewise, or a tensor of another size has come.
        """
        self._move_without_waiting()
        with self._lock:
            # That one alone: thousands of others, of nearly no bytes each, would cost far more than they announce.
            while not self._early.is_complete and self._early.take(len(buffer)):
                while self._frames.try_receive():
                    pass
        if self._early:
            self._check_length("TENSOR", self._early.next_length, buffer)
        if not self._early.is_complete:
            return False
        self._fill_from_early(buffer)
        return True

    def read_ahead(self, limit: int) -> None:
        """Take in, without waiting, what tensors have come before they are asked for, until they hold limit bytes.

        What waits to be sent is sent as far as the network takes it.

        Raises:
            PeerError, ProtocolError: the link has failed.
        """
        self._move_without_waiting()
        with self._lock:
            while self._early.take(limit):
                while self._frames.try_receive():
                    pass

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

        Tensors that come meanwhile are taken in ahead of time, until there are as many more bytes of them as wait to be
        sent: else two sides that send more than the network holds would wait for each other. The one with less to send
        gets rid of it.
        """
        with self._lock:  # the heartbeat thread sends, too
            limit = self._early.held + sum(map(len, self._frames.outgoing))

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

    def _receive(self, buffer: memoryview) -> None:
        if self._early:
            self._check_length("TENSOR", self._early.next_length, buffer)
            self._fill_from_early(buffer)
            return
        frame = self._next_frame()
        self._check_length(frame.kind.name, frame.length, buffer)
        self._fill(buffer, frame)

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
