"""What comes in on a link: whatever bytes, in whatever pieces, frames come out or a typed error, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import BOUNDED, LONG, changed

from smule_crypten.errors import ProtocolError
from smule_crypten.transport.frames import READ_AHEAD_BYTES, FrameAssembler, FrameWriter, Kind


def stream() -> bytes:
    """All kinds of frames, as the other side writes them."""
    writer, parts = FrameWriter(), []
    for kind, payload in (
        (Kind.JSON, b'{"query_id": 1}'),
        (Kind.TENSOR, bytes(range(40))),
        (Kind.HEARTBEAT, b""),
        (Kind.TENSOR, bytes(READ_AHEAD_BYTES + 7)),
        (Kind.JSON, b"{}"),
        (Kind.REFUSAL, b'{"kind": "PeerError"}'),
    ):
        parts += [writer.header(kind, len(payload)), payload]
    return b"".join(parts)


def assemble(content: bytes, piece: int) -> int:
    """Feed content in pieces; tensors that wait get memory, up to what is left. Returns the number of frames."""
    assembler, rest, frames = FrameAssembler(), memoryview(content), 0
    try:
        while rest and not assembler.ended:
            target = assembler.target
            if not target:
                taken = list(assembler.frames)
                frames += len(taken)
                assembler.frames.clear()
                waiting = [frame for frame in taken if frame.payload is None]
                if waiting and not assembler.is_placed:
                    assembler.place(memoryview(bytearray(min(waiting[0].length, len(rest) + 1))))
                elif not taken:
                    break
                continue
            assert len(target) <= max(READ_AHEAD_BYTES, len(content) + 1, 1 << 20)
            count = min(len(target), len(rest), piece)
            target[:count] = rest[:count]
            rest = rest[count:]
            assembler.advance(count)
    except ProtocolError:
        pass
    return frames + len(assembler.frames)


def test_the_example_is_right() -> None:
    """Four frames that count, however they are cut."""
    assert {assemble(stream(), piece) for piece in (1, 13, 1 << 20)} == {4}


@given(content=changed([stream()[:600], stream()]), piece=st.sampled_from([1, 7, 24, 1 << 16]))
@BOUNDED
def test_frames(content: bytes, piece: int) -> None:
    """Changed streams."""
    assemble(content[:4000] if piece < 24 else content, piece)


@pytest.mark.slow
@given(content=st.one_of(changed([stream()[:600], stream()]), st.binary(max_size=400)), piece=st.integers(1, 1 << 16))
@LONG
def test_many_frames(content: bytes, piece: int) -> None:
    """The same for longer, and any bytes at all."""
    assemble(content[:4000] if piece < 24 else content, piece)
