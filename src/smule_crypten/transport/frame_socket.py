"""Frames over a non-blocking TLS socket: attempts to send and to receive that never wait."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections import deque

from smule_crypten.errors import PeerDisconnectedError, PeerError, ProtocolError, SmuleError, printable, refusal
from smule_crypten.transport.frames import Frame, FrameAssembler, FrameWriter, Kind

_CHUNK_BYTES = 1 << 18
_JOINED_BYTES = 1 << 14
_TURN_BYTES = 1 << 20
"""The most that one attempt moves, so that neither direction has to wait long for the other."""
_MAX_REASON_CHARACTERS = 500
_TCP_RTO_MAX_MS = 44
"""From Linux's tcp.h; Python has no name for it yet."""
_TCP_PATIENCE_MS = 24 * 3600 * 1000
"""Longer than any side computes: it also limits how long a side that computes may leave data unread."""


class FrameSocket:
    """Not for two threads at once: a TLS object must not be entered twice, and live_socket.py holds a lock for it.

    Every failure names the peer. The first one stays in `failure`.

    Args:
        connection: handshaken TLS socket; taken over.
        peer: the other process in messages.
    """

    def __init__(self, connection: ssl.SSLSocket, peer: str) -> None:
        connection.setblocking(False)
        _retransmit_soon(connection)
        self.socket = connection
        self.peer = peer
        self.incoming = FrameAssembler()
        self.outgoing: deque[memoryview] = deque()
        self.failure: SmuleError | None = None
        self.said_bye = False
        """Whether this side's last frame, BYE or REFUSAL, is sent or waits to be sent."""
        self.heard = time.monotonic()
        """When something came in last."""
        self._writer = FrameWriter()

    def enqueue(self, kind: Kind, data: memoryview) -> None:
        """Let a frame wait to be sent.

        Raises:
            PeerError: the other side has ended or given up.
            ProtocolError: the frame is too long.
        """
        self.check()
        if self.incoming.ended:
            raise self.ended_early()
        header = self._writer.header(kind, len(data))
        # One TLS record and one wake-up of the other side where a copy costs less than they do.
        self.outgoing += [memoryview(header + data)] if len(data) <= _JOINED_BYTES else [memoryview(header), data]
        self.said_bye = self.said_bye or kind is Kind.REFUSAL

    def say_bye(self) -> None:
        """Let BYE wait to be sent, unless this side has ended already."""
        if not self.said_bye:
            self.said_bye = True
            self.outgoing.append(memoryview(self._writer.header(Kind.BYE, 0)))

    def give_sign_of_life(self) -> None:
        """Let a heartbeat wait to be sent, unless data on its way serves as one, or this side has ended."""
        if not self.outgoing and not self.said_bye:
            self.outgoing.append(memoryview(self._writer.header(Kind.HEARTBEAT, 0)))

    def check(self) -> None:
        """Raise the failure, if there is one."""
        if self.failure is not None:
            raise self.failure

    def try_send(self) -> bool:
        """Send what the socket takes; returns whether anything went out.

        Raises:
            PeerError, ProtocolError: the link has failed.
        """
        moved, left = False, _TURN_BYTES
        try:
            while self.outgoing and left > 0:
                buffer = self.outgoing[0]
                sent = self.socket.send(buffer[:_CHUNK_BYTES]) if len(buffer) else 0
                moved, left = True, left - sent
                if sent == len(buffer):
                    self.outgoing.popleft()
                else:
                    self.outgoing[0] = buffer[sent:]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self.try_receive()  # the other side may have said why before it closed
            self.check()
            if not self.incoming.ended:
                raise self._broken(error) from None
            self.outgoing.clear()
        return moved

    def try_receive(self) -> bool:
        """Take in what has arrived and may be read now, at most one frame; returns whether anything did.

        If the other side gave up, that is kept in `failure`, since frames from before may still wait to be taken.

        Raises:
            PeerError, ProtocolError: the link has failed.
        """
        moved, left = False, _TURN_BYTES
        frames_before = len(self.incoming.frames)
        try:
            while left > 0 and len(self.incoming.frames) == frames_before and len(target := self.incoming.target):
                count = self.socket.recv_into(target)
                if count == 0:
                    raise self._broken(None)
                moved, left = True, left - count
                self.incoming.advance(count)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ProtocolError as error:
            raise self.violation(str(error)) from None
        except OSError as error:
            raise self._broken(error) from None
        if moved:
            self.heard = time.monotonic()
        if self.incoming.ended and not self.said_bye:
            self._answer_the_end()
        return moved

    def take_frame(self) -> Frame:
        """The oldest frame that has come in. If it has no payload yet, its memory must be placed next."""
        return self.incoming.frames.popleft()

    def fail(self, error: SmuleError) -> SmuleError:
        """Keep the first failure and return it."""
        if self.failure is None:
            self.failure = error
            if isinstance(error, PeerError):
                error.about = self.peer
        return self.failure

    def violation(self, reason: str) -> SmuleError:
        return self.fail(ProtocolError(f"{self.peer}: {reason}"))

    def ended_early(self) -> SmuleError:
        return self.fail(
            PeerDisconnectedError(f"{self.peer} ended the connection before the work was done; see its log")
        )

    def _answer_the_end(self) -> None:
        """Confirm, so that the other side need not wait any longer to close."""
        if self.incoming.refusal is not None:
            self.fail(refusal(self.peer, *_said_in(self.incoming.refusal)))
        self.say_bye()
        with contextlib.suppress(SmuleError):  # it is gone already
            self.try_send()

    def _broken(self, error: OSError | None) -> SmuleError:
        hung_up = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
        if isinstance(error, ssl.SSLError) and not isinstance(error, hung_up):
            return self.violation(
                f"the encrypted stream is damaged or was tampered with ({error.reason}); check the network in between"
            )
        reason = f" ({error.strerror})" if error is not None and not isinstance(error, ssl.SSLError) else ""
        return self.fail(PeerDisconnectedError(f"{self.peer} closed the connection{reason}; see its log for the cause"))


def _retransmit_soon(connection: ssl.SSLSocket) -> None:
    """Let TCP try again once a second while the other side cannot be reached.

    By itself it waits twice as long each time, so that a network that is repaired after 14 seconds stays unused until
    the 26th. It would also give up after some attempts, which now come sooner, unless it is told a time; how long is
    too long is for live_socket.py to judge. Kernels before Linux 6.15 do not know the first option and go on as they
    did.
    """
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_PATIENCE_MS)


def _said_in(content: bytearray) -> tuple[object, str]:
    """The kind of error, as it was sent, and the reason as one printable line, whatever the other side sent."""
    try:
        message = json.loads(content.decode())
    except (ValueError, RecursionError):
        message = None
    kind, reason = (message.get(key) if isinstance(message, dict) else None for key in ("kind", "reason"))
    text = reason if isinstance(reason, str) else "without a usable reason"
    return kind, printable(text[:_MAX_REASON_CHARACTERS])
