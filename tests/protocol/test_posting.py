"""Tensors that leave while their sender does other work, and those that are taken only once they have come."""

from __future__ import annotations

import pytest
from loopback import People, link_pair, link_to_raw, together, until

from smule_crypten.errors import ProtocolError
from smule_crypten.transport.frames import HEADER_BYTES, FrameWriter, Kind
from smule_crypten.transport.link import Link

_LARGE = bytes(range(250)) * 1600
_MANY = 60


def _take(link: Link, num_bytes: int) -> bytes | None:
    buffer = bytearray(num_bytes)
    return bytes(buffer) if link.take_arrived(memoryview(buffer)) else None


def _take_soon(link: Link, num_bytes: int) -> bytes:
    taken: list[bytes] = []
    until(lambda: (found := _take(link, num_bytes)) is not None and taken.append(found) is None)
    return taken[0]


def test_posting_waits_for_nobody(people: People) -> None:
    """24 MB to somebody who reads nothing: the sender goes on, and all of it leaves, in order, once it is read."""
    with link_to_raw(people) as (link, raw):
        for number in range(_MANY):
            link.post(memoryview(bytes([number]) + _LARGE))
        assert link._frames.outgoing
        read, due = bytearray(), _MANY * (HEADER_BYTES + 1 + len(_LARGE))
        while len(read) < due:
            link.read_ahead(0)
            read += raw.recv(min(1 << 20, due - len(read)))
        assert not link._frames.outgoing
    starts = [number * (HEADER_BYTES + 1 + len(_LARGE)) + HEADER_BYTES for number in range(_MANY)]
    assert [read[start] for start in starts] == list(range(_MANY))


@pytest.mark.parametrize("size", [100, len(_LARGE)])
def test_a_tensor_is_taken_only_when_all_of_it_has_come(people: People, size: int) -> None:
    payload = _LARGE[:size]
    frame = FrameWriter().header(Kind.TENSOR, size) + payload
    with link_to_raw(people) as (link, raw):
        assert _take(link, size) is None
        raw.sendall(frame[:-1])
        assert [_take(link, size) for _ in range(50)] == [None] * 50
        raw.sendall(frame[-1:])
        assert _take_soon(link, size) == payload
        assert link.early_bytes == 0


@pytest.mark.parametrize("announced", [len(_LARGE) - 1, len(_LARGE) + 1, 5])
def test_a_tensor_of_another_size_is_refused(people: People, announced: int) -> None:
    with link_to_raw(people) as (link, raw):
        raw.sendall(FrameWriter().header(Kind.TENSOR, announced) + bytes(5))
        with pytest.raises(ProtocolError, match=f"{announced} bytes where a tensor of {len(_LARGE)} bytes was due"):
            _take_soon(link, len(_LARGE))


def test_both_post_far_more_than_the_network_holds(people: People) -> None:
    """Each then sends more, reads everything and says a word in JSON: nobody blocks the other one, though each holds
    something already that came early."""

    def work(link: Link) -> list[bytes]:
        for number in range(_MANY):
            link.post(memoryview(bytes([number]) + _LARGE))
        first = _take_soon(link, 1 + len(_LARGE))
        until(lambda: link.read_ahead(2 << 20) or link.early_bytes == 2 << 20)
        link.transfer([memoryview(_LARGE)], [])
        rest = [bytearray(1 + len(_LARGE)) for _ in range(_MANY - 1)]
        last = bytearray(len(_LARGE))
        link.transfer([], [memoryview(buffer) for buffer in [*rest, last]])
        assert last == _LARGE
        link.send_json("done")
        assert link.receive_json()[0] == "done"
        return [first, *(bytes(buffer) for buffer in rest)]

    with link_pair(people, buffer_bytes=(1 << 16, 1 << 16)) as (a, b):
        expected = [bytes([number]) + _LARGE for number in range(_MANY)]
        assert together(lambda: work(a), lambda: work(b)) == [expected, expected]


@pytest.mark.parametrize("size", [0, 1])
def test_no_more_than_one_tensor_is_taken_at_a_time(people: People, size: int) -> None:
    """Tensors of nearly no bytes cost more memory than they announce: one of another size than is due ends it."""
    writer, asked = FrameWriter(), len(_LARGE)
    flood = b"".join(writer.header(Kind.TENSOR, size) + bytes(size) for _ in range(10_000))
    with link_to_raw(people) as (link, raw):
        raw.sendall(flood)
        with pytest.raises(ProtocolError, match=f"{size} bytes where a tensor of {asked} bytes was due"):
            _take_soon(link, asked)
        assert len(link._early) <= 1
