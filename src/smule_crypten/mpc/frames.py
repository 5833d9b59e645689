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
from dataclasses import dataclass
from enum import IntEnum

from smule_crypten.errors import ProtocolError

MAX_PAYLOAD_BYTES = 8 << 30
MAX_JSON_BYTES = 4 << 20

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
        _check_length(kind, length, "to be sent")
        header = _HEADER.pack(_MAGIC, kind, self._sequence, length)
        self._sequence += 1
        return header


class FrameReader:
    """Checks the headers that come in."""

    def __init__(self) -> None:
        self._sequence = 0

    def parse(self, data: bytes) -> Header:
        """Understand HEADER_BYTES bytes.

        Raises:
            ProtocolError: not of this protocol, replayed, lost, reordered, unknown or too long.
        """
        magic, kind, sequence, length = _HEADER.unpack(data)
        if magic != _MAGIC:
            raise ProtocolError("it does not speak this protocol")
        if data[5:8] != bytes(3) or kind not in set(Kind):
            raise ProtocolError(f"it sent a frame of unknown kind {kind}; use the same version")
        if sequence != self._sequence:
            raise ProtocolError(f"it sent frame {sequence} where {self._sequence} was due: replayed or lost")
        self._sequence += 1
        _check_length(Kind(kind), length, "received")
        return Header(Kind(kind), length)


def _check_length(kind: Kind, length: int, what: str) -> None:
    limits = {Kind.TENSOR: MAX_PAYLOAD_BYTES, Kind.JSON: MAX_JSON_BYTES, Kind.REFUSAL: MAX_JSON_BYTES}
    limit = limits.get(kind, 0)
    if length > limit:
        raise ProtocolError(f"a {kind.name} frame of {length} bytes {what} is over the limit of {limit}")
