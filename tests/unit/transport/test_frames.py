from __future__ import annotations

import pytest

from smule_crypten.errors import ProtocolError
from smule_crypten.transport.frames import (
    HEADER_BYTES,
    MAX_JSON_BYTES,
    MAX_PAYLOAD_BYTES,
    READ_AHEAD_BYTES,
    READ_AHEAD_FRAMES,
    FrameAssembler,
    FrameReader,
    FrameWriter,
    Kind,
)


def _feed(assembler: FrameAssembler, data: bytes, chunk: int = 1 << 20) -> int:
    """Write data as a socket would, at most chunk bytes at a time; returns how many bytes were taken."""
    taken = 0
    while taken < len(data) and len(target := assembler.target):
        count = min(chunk, len(target), len(data) - taken)
        target[:count] = data[taken : taken + count]
        assembler.advance(count)
        taken += count
    return taken


def _frame(writer: FrameWriter, kind: Kind, payload: bytes = b"") -> bytes:
    return writer.header(kind, len(payload)) + payload


def test_the_header_on_the_wire_is_as_documented() -> None:
    """Two versions that lay the header out differently could not talk."""
    writer = FrameWriter()
    writer.header(Kind.HEARTBEAT, 0)
    assert writer.header(Kind.TENSOR, 0x0102) == bytes.fromhex("534d4c45 01000000 0100000000000000 0201000000000000")


def test_headers_come_back_as_written() -> None:
    """Kind and length survive, and the sequence numbers of both ends agree over many frames."""
    writer, reader = FrameWriter(), FrameReader()
    for kind, length in [(Kind.TENSOR, MAX_PAYLOAD_BYTES), (Kind.JSON, MAX_JSON_BYTES), (Kind.HEARTBEAT, 0)] * 3:
        header = reader.parse(writer.header(kind, length))
        assert (header.kind, header.length) == (kind, length)


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (Kind.TENSOR, MAX_PAYLOAD_BYTES + 1),
        (Kind.JSON, MAX_JSON_BYTES + 1),
        (Kind.REFUSAL, MAX_JSON_BYTES + 1),
        (Kind.HEARTBEAT, 1),
        (Kind.BYE, 1),
    ],
)
def test_lengths_have_limits_in_both_directions(kind: Kind, length: int) -> None:
    """No frame announces more than its kind may carry, and none is sent that the other side would refuse."""
    with pytest.raises(ProtocolError, match=f"a {kind.name} frame of {length} bytes to be sent"):
        FrameWriter().header(kind, length)
    announced = bytearray(FrameWriter().header(kind, 0))
    announced[16:24] = length.to_bytes(8, "little")
    with pytest.raises(ProtocolError, match=f"a {kind.name} frame of {length} bytes received"):
        FrameReader().parse(bytes(announced))


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, b"HTTP", "does not speak this protocol"),
        (4, b"\x00", "unknown kind 0"),
        (4, b"\x06", "unknown kind 6"),
        (5, b"\x00\x00\x01", "unknown kind"),
        (8, (1).to_bytes(8, "little"), "frame 1 where 0 was due: replayed or lost"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(position: int, value: bytes, message: str) -> None:
    """A foreign protocol, an unknown kind, a reserved byte and a lost frame are told apart."""
    header = bytearray(FrameWriter().header(Kind.JSON, 3))
    header[position : position + len(value)] = value
    with pytest.raises(ProtocolError, match=message):
        FrameReader().parse(bytes(header))


def test_a_replayed_header_is_refused() -> None:
    """The same frame is never accepted twice."""
    reader, header = FrameReader(), FrameWriter().header(Kind.TENSOR, 8)
    reader.parse(header)
    with pytest.raises(ProtocolError, match="frame 0 where 1 was due: replayed or lost"):
        reader.parse(header)


@pytest.mark.parametrize("chunk", [1, 7, HEADER_BYTES, 1000])
def test_frames_are_put_together_wherever_they_are_cut(chunk: int) -> None:
    """The network cuts frames anywhere, also inside a header."""
    writer, assembler = FrameWriter(), FrameAssembler()
    sent = [(Kind.JSON, b'{"a": 1}'), (Kind.TENSOR, bytes(range(200))), (Kind.TENSOR, b""), (Kind.JSON, b"null")]
    data = b"".join(_frame(writer, kind, payload) + _frame(writer, Kind.HEARTBEAT) for kind, payload in sent)
    assert _feed(assembler, data, chunk) == len(data)
    assert [(frame.kind, bytes(frame.payload or b"")) for frame in assembler.frames] == sent


def test_a_large_tensor_waits_for_its_memory() -> None:
    """An announced length allocates nothing: the tensor is read only into memory that the caller agreed on."""
    payload = bytes(range(256)) * (READ_AHEAD_BYTES // 256) + b"!"
    writer, assembler = FrameWriter(), FrameAssembler()
    data = _frame(writer, Kind.TENSOR, payload) + _frame(writer, Kind.JSON, b"1")
    assert _feed(assembler, data) == HEADER_BYTES
    assert assembler.is_suspended
    assert assembler.frames.popleft().payload is None
    memory = bytearray(len(payload))
    assembler.place(memoryview(memory))
    assert _feed(assembler, data[HEADER_BYTES:], 1000) == len(data) - HEADER_BYTES
    assert memory == payload
    assert not assembler.is_placed
    assert assembler.frames[0].payload == b"1"


def test_what_is_kept_unasked_is_bounded() -> None:
    """A peer that sends on and on cannot fill our memory."""
    writer, assembler = FrameWriter(), FrameAssembler()
    frames = [_frame(writer, Kind.JSON, b"[]") for _ in range(READ_AHEAD_FRAMES + 3)]
    data = b"".join(frames)
    taken = _feed(assembler, data)
    assert taken == len(frames[0]) * READ_AHEAD_FRAMES
    assembler.frames.popleft()
    assert not assembler.is_suspended
    assert _feed(assembler, data[taken:]) == len(frames[0])


def test_nothing_is_read_after_the_last_frame() -> None:
    """After BYE whatever follows is ignored."""
    writer, assembler = FrameWriter(), FrameAssembler()
    bye = _frame(writer, Kind.BYE)
    assert _feed(assembler, bye + b"garbage") == len(bye)
    assert assembler.ended
    assert assembler.refusal is None


def test_a_refusal_ends_and_keeps_its_reason() -> None:
    """The reason for giving up is available also when earlier frames were not taken yet."""
    writer, assembler = FrameWriter(), FrameAssembler()
    _feed(assembler, _frame(writer, Kind.JSON, b"1") + _frame(writer, Kind.REFUSAL, b'{"reason": "x"}'), 5)
    assert assembler.ended
    assert assembler.refusal == b'{"reason": "x"}'


def test_a_side_that_leaves_keeps_nothing_but_the_end() -> None:
    """Tensors and messages that nobody will ask for are read away, so that the end behind them is seen."""
    writer, assembler = FrameWriter(), FrameAssembler()
    large = bytes(3 * READ_AHEAD_BYTES)
    data = _frame(writer, Kind.JSON, b"1") + _frame(writer, Kind.TENSOR, large)
    taken = _feed(assembler, data)
    assert taken < len(data)
    assembler.discard()
    rest = data[taken:] + _frame(writer, Kind.TENSOR, large) + _frame(writer, Kind.TENSOR) + _frame(writer, Kind.JSON)
    assert _feed(assembler, rest) == len(rest)
    assert not assembler.frames
    bye = _frame(writer, Kind.BYE)
    assert _feed(assembler, bye) == len(bye)
    assert assembler.ended
