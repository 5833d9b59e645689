"""One authenticated, encrypted link to one other process, and the frames on it.

A link never waits longer than its deadline without a sign of life: a thread sends a heartbeat while this side
computes, and notes when the other side falls silent. Sending and receiving interleave, so that two sides that send
at once cannot block each other. Tensors move between their own memory and the TLS layer without another copy.
"""

from __future__ import annotations

import json
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from smule_crypten.errors import (
    PeerDisconnectedError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    ProtocolError,
    SmuleError,
)
from smule_crypten.mpc.frames import HEADER_BYTES, FrameReader, FrameWriter, Header, Kind

HEARTBEATS_PER_DEADLINE = 6
_CHUNK_BYTES = 1 << 18


class Link:
    """Frames over a connected TLS socket. All methods but `check` belong to one thread.

    Args:
        connection: handshaken TLS socket; the link takes it over.
        peer: the other process in messages, for example "party b".
        deadline_seconds: longest silence of the other side.

    companions are the other links of this process: while one is waited for, the failure of another ends the wait.
    """

    def __init__(self, connection: ssl.SSLSocket, peer: str, deadline_seconds: float) -> None:
        connection.setblocking(False)
        self._socket = connection
        self.peer = peer
        self.companions: list[Link] = []
        self.deadline_seconds = deadline_seconds
        self._writer = FrameWriter()
        self._reader = FrameReader()
        # The TLS object must not be entered by two threads at once; the lock is held for one short call at a time.
        self._lock = threading.Lock()
        self._outgoing: deque[memoryview] = deque()
        self._header = bytearray(HEADER_BYTES)
        self._target = memoryview(self._header)
        self._filled = 0
        self._arrived: Header | None = None
        self._ended = False
        self._heard = time.monotonic()
        self._failure: SmuleError | None = None
        self._closing = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"heartbeat to {peer}", daemon=True)
        self._heart.start()

    def transfer(self, outgoing: Sequence[memoryview], incoming: Sequence[memoryview]) -> None:
        """Send each buffer as a TENSOR frame and fill each incoming buffer from one, both at the same time.

        Raises:
            PeerTimeoutError, PeerDisconnectedError: the other side is silent or gone.
            PeerRefusedError: it gave up and said why.
        ProtocolError: it sent something else than a tensor of the agreed size.
        """
        with self._lock:
            for buffer in outgoing:
                self._outgoing += [memoryview(self._writer.header(Kind.TENSOR, len(buffer))), buffer]
        for buffer in incoming:
            header = self._next_header()
            if header.kind is not Kind.TENSOR or header.length != len(buffer):
                found = f"a {header.kind.name} frame of {header.length} bytes"
                raise self._violation(f"it sent {found} where a tensor of {len(buffer)} bytes was due")
            self._read_payload(buffer)
        self.flush()

    def send_json(self, value: object) -> int:
        """Send one JSON value; returns its bytes."""
        data = json.dumps(value).encode()
        self._enqueue(Kind.JSON, data)
        self.flush()
        return len(data)

    def receive_json(self) -> tuple[Any, int]:
        """Receive one JSON value; returns it and its bytes."""
        header = self._next_header()
        if header.kind is not Kind.JSON:
            raise self._violation(f"it sent a {header.kind.name} frame where a JSON message was due")
        return self._read_json(header), header.length

    def refuse(self, reason: str) -> None:
        """Tell the other side why this side gives up, as well as that still works."""
        try:
            self._enqueue(Kind.REFUSAL, json.dumps({"reason": reason}).encode())
            self.flush()
        except (SmuleError, ValueError):
            pass  # it is gone, so it needs no reason

    def check(self) -> None:
        """Raise what the heartbeat thread has found wrong with the link meanwhile. Cheap; call it between steps."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the link in order, if it still works."""
        if self._closing.is_set():
            return
        if self._failure is None and not self._ended:
            try:
                self._enqueue(Kind.BYE, b"")
                self.flush()
            except SmuleError:
                pass  # the other side ended first
        self._closing.set()
        self._heart.join()
        self._socket.close()

    def flush(self) -> None:
        """Send everything that waits to be sent."""
        while self._outgoing:
            self._step(wait_for_input=False)

    # -- reading -------------------------------------------------------------------------------------------------

    def _next_header(self) -> Header:
        """The next frame that is not a heartbeat; sends what waits meanwhile. Its payload must be read next."""
        while self._arrived is None:
            self._step(wait_for_input=True)
        if self._arrived.kind is Kind.REFUSAL:
            message = self._read_json(self._arrived)
            reason = message.get("reason") if isinstance(message, dict) else message
            raise self._fail(PeerRefusedError(f"{self.peer} gave up: {reason}"))
        return self._arrived

    def _read_payload(self, buffer: memoryview) -> None:
        with self._lock:
            # From here on the heartbeat thread leaves reading to this one.
            self._target, self._filled, self._arrived = buffer, 0, None
        while self._filled < len(buffer):
            self._step(wait_for_input=True)
        with self._lock:
            self._target, self._filled = memoryview(self._header), 0

    def _read_json(self, header: Header) -> Any:
        data = bytearray(header.length)
        self._read_payload(memoryview(data))
        try:
            return json.loads(data)
        except ValueError:
            raise self._violation("it sent a message that is not JSON") from None

    # -- the shared step: one attempt to send and one to receive ---------------------------------------------------

    def _step(self, *, wait_for_input: bool) -> None:
        self.check()
        for companion in self.companions:
            companion.check()
        with self._lock:
            moved = self._try_send()
            if wait_for_input:
                moved = self._try_receive() or moved
        if moved:
            return
        if self._ended:
            raise self._fail(PeerDisconnectedError(f"{self.peer} ended the connection before the work was done"))
        silence = time.monotonic() - self._heard
        patience = self.deadline_seconds - silence
        if patience <= 0:
            raise self._fail(
                PeerTimeoutError(f"{self.peer} was silent for {self.deadline_seconds:g} seconds; see its log")
            )
        writing = [self._socket] if self._outgoing else []
        select.select([self._socket] if wait_for_input else [], writing, [], min(patience, 1.0))

    def _try_send(self) -> bool:
        moved = False
        try:
            while self._outgoing:
                buffer = self._outgoing[0]
                sent = self._socket.send(buffer[:_CHUNK_BYTES]) if len(buffer) else 0
                moved = True
                if sent == len(buffer):
                    self._outgoing.popleft()
                else:
                    self._outgoing[0] = buffer[sent:]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            raise self._fail(self._gone(error)) from None
        return moved

    def _try_receive(self) -> bool:
        """Fill the current target; a complete header is parsed, heartbeats are swallowed."""
        moved = False
        try:
            while self._arrived is None and not self._ended and self._filled < len(self._target):
                count = self._socket.recv_into(self._target[self._filled :])
                if count == 0:
                    raise self._fail(self._gone(None))
                moved = True
                self._heard = time.monotonic()
                self._filled += count
                if self._target.obj is self._header and self._filled == HEADER_BYTES:
                    self._take_header()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            raise self._fail(self._gone(error)) from None
        return moved

    def _take_header(self) -> None:
        try:
            header = self._reader.parse(bytes(self._header))
        except ProtocolError as error:
            raise self._fail(ProtocolError(f"{self.peer}: {error}")) from None
        self._filled = 0
        if header.kind is Kind.BYE:
            self._ended = True
        elif header.kind is not Kind.HEARTBEAT:
            self._arrived = header

    # -- the heartbeat thread --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        interval = self.deadline_seconds / HEARTBEATS_PER_DEADLINE
        while not self._closing.wait(interval):
            try:
                with self._lock:
                    if self._failure is not None or self._ended:
                        return
                    if not self._outgoing:
                        self._outgoing.append(memoryview(self._writer.header(Kind.HEARTBEAT, 0)))
                    self._try_send()
                    if self._target.obj is self._header:
                        self._try_receive()
                    if time.monotonic() - self._heard > self.deadline_seconds:
                        raise self._fail(
                            PeerTimeoutError(
                                f"{self.peer} was silent for {self.deadline_seconds:g} seconds; see its log"
                            )
                        )
            except SmuleError:
                return  # kept in _failure, raised by the next step or check

    # -- failures ----------------------------------------------------------------------------------------------------

    def _enqueue(self, kind: Kind, data: bytes) -> None:
        with self._lock:
            self._outgoing += [memoryview(self._writer.header(kind, len(data))), memoryview(data)]

    def _gone(self, error: OSError | None) -> PeerError:
        reason = f" ({error.strerror or error})" if error is not None else ""
        return PeerDisconnectedError(f"{self.peer} closed the connection{reason}; see its log for the cause")

    def _violation(self, reason: str) -> SmuleError:
        return self._fail(ProtocolError(f"{self.peer}: {reason}"))

    def _fail(self, error: SmuleError) -> SmuleError:
        if self._failure is None:
            self._failure = error
        return self._failure
