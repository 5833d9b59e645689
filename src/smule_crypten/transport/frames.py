"""The format of a message on a link: a header of 24 bytes and its payload. Pure, without I/O.

| bytes | field    |                                                            |
|-------|----------|------------------------------------------------------------|
| 4     | magic    | "SMLE": tells a foreign protocol from a damaged stream     |
| 1     | kind     | see Kind                                                   |
| 3     | reserved | zero                                                       |
| 8     | sequence | counts the frames of this direction from 0, little-endian  |
| 8     | length   | bytes of payload, little-endian, at most MAX_PAYLOAD_BYTES |
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from smule_crypten.errors import ProtocolError

MAX_PAYLOAD_BYTES = 8 << 30
"""Of a tensor. A receiver holds no more of one than it asked for, or set aside for what comes early (link.py)."""
MAX_JSON_BYTES = 1 << 20
"""Until both sides have agreed: configuration and architectures."""
AGREED_JSON_BYTES = 16 << 10
"""Of what is said after that: announcements, counts and entropy."""
READ_AHEAD_BYTES = 64 << 10
"""A tensor up to this size is read whole when it arrives; a larger one stays in the socket until it has its memory."""
READ_AHEAD_FRAMES = 8
"""How many frames are kept until they are asked for; with the limit of a message this bounds what a peer can make us
hold."""

_MAGIC = b"SMLE"
_HEADER = struct.Struct("<4sB3xQQ")
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """TENSOR: raw little-endian elements of an agreed size. JSON: UTF-8. HEARTBEAT: empty, "I am still computing".

    BYE: empty, the orderly end. REFUSAL: JSON, why the sender gives up.
    """

    TENSOR = 1
    JSON = 2
    HEARTBEAT = 3
    BYE = 4
    REFUSAL = 5


@dataclass(frozen=True)
class Header:
    kind: Kind
    length: int


class FrameWriter:
    """Numbers the frames that go out."""

    def __init__(self) -> None:
        self._sequence = 0

    def header(self, kind: Kind, length: int) -> bytes:
        """The header of the next frame.

        Raises:
            ProtocolError: the payload is larger than a frame may be.
        """
        _check_length(kind, length, MAX_JSON_BYTES, "to be sent")
        header = _HEADER.pack(_MAGIC, kind, self._sequence, length)
        self._sequence += 1
        return header


class FrameReader:
    """Checks the headers that come in. json_limit: bytes of a message."""

    def __init__(self) -> None:
        self.json_limit = MAX_JSON_BYTES
        self._sequence = 0

    def parse(self, data: bytes) -> Header:
        """Understand HEADER_BYTES bytes.

        Raises:
            ProtocolError: not of this protocol, replayed, lost, reordered, unknown or too long.
        """
        magic, kind, sequence, length = _HEADER.unpack(data)
        if magic != _MAGIC:
            raise ProtocolError("it does not speak this protocol, or the stream is damaged")
        if data[5:8] != bytes(3) or kind not in set(Kind):
            raise ProtocolError(f"it sent a frame of unknown kind {kind}; use the same version")
        if sequence != self._sequence:
            raise ProtocolError(f"it sent frame {sequence} where {self._sequence} was due: replayed or lost")
        self._sequence += 1
        _check_length(Kind(kind), length, self.json_limit, "received")
        return Header(Kind(kind), length)


def _check_length(kind: Kind, length: int, json_limit: int, what: str) -> None:
    limits = {Kind.TENSOR: MAX_PAYLOAD_BYTES, Kind.JSON: json_limit, Kind.REFUSAL: json_limit}
    limit = limits.get(kind, 0)
    if length > limit:
        raise ProtocolError(f"a {kind.name} frame of {length} bytes {what} is over the limit of {limit}")


@dataclass(frozen=True)
class Frame:
    """A frame that came in. payload is None for a tensor that still waits in the socket for its memory."""

    kind: Kind
    length: int
    payload: bytearray | None


class FrameAssembler:
    """Puts frames together from the bytes that come in, wherever their boundaries fall.

    The caller writes what arrives into `target` and reports it with `advance`. Complete frames gather in `frames`;
    heartbeats are dropped. Nothing is read after the other side's last frame, in which case `ended` is true, and
    `refusal` holds its reason if that frame is a REFUSAL.
    """

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.ended = False
        self.refusal: bytearray | None = None
        self.is_placed = False
        """Whether the bytes of a large tensor are being read into the memory that `place` was given."""
        self.reader = FrameReader()
        self._header = memoryview(bytearray(HEADER_BYTES))
        self._rest = self._header
        self._awaited = 0
        self._unfinished: Frame | None = None
        self._discards = False
        self._unwanted = 0
        self._scrap = memoryview(bytearray(READ_AHEAD_BYTES))

    @property
    def target(self) -> memoryview:
        """Where the next bytes belong; empty where none may be read now."""
        if self._unwanted:
            return self._scrap[: self._unwanted]
        return self._rest[:0] if self.ended or self.is_suspended else self._rest

    @property
    def is_suspended(self) -> bool:
        """Whether what comes next in the socket has to wait until frames are taken or memory is placed."""
        return (self._awaited > 0 and not self.is_placed) or len(self.frames) >= READ_AHEAD_FRAMES

    def advance(self, count: int) -> None:
        """`count` bytes were written into target.

        Raises:
            ProtocolError: they complete a header that is not acceptable.
        """
        if self._unwanted:
            self._unwanted -= count
            return
        self._rest = self._rest[count:]
        if len(self._rest) == 0:
            self._complete()

    def place(self, memory: memoryview) -> None:
        """Give the tensor that waits in the socket memory for what is left of it, or for the next part of that."""
        self._awaited, self.is_placed, self._rest = self._awaited - len(memory), True, memory

    def discard(self) -> None:
        """Keep nothing from now on: only how the other side ends is still of interest."""
        self.frames.clear()
        self._discards = True
        self._awaited, self._unwanted = 0, self._awaited

    def _complete(self) -> None:
        finished, self._unfinished = self._unfinished, None
        was_header = finished is None and not self.is_placed
        self._rest, self.is_placed = self._header, False
        if was_header:
            self._begin(self.reader.parse(bytes(self._header)))
        elif finished is not None and finished.kind is Kind.REFUSAL:
            self.refusal, self.ended = finished.payload, True
        elif finished is not None and not self._discards:
            self.frames.append(finished)

    def _begin(self, header: Header) -> None:
        if header.kind is Kind.BYE:
            self.ended = True
        elif header.kind is Kind.TENSOR and self._discards:
            self._unwanted = header.length
        elif header.kind is Kind.TENSOR and header.length > READ_AHEAD_BYTES:
            self._awaited = header.length
            self.frames.append(Frame(header.kind, header.length, None))
        elif header.kind is not Kind.HEARTBEAT:
            payload = bytearray(header.length)
            self._unfinished, self._rest = Frame(header.kind, header.length, payload), memoryview(payload)
            if header.length == 0:
                self._complete()
