"""What an authenticated peer cannot get away with."""

from __future__ import annotations

import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from loopback import (
    PATIENCE_SECONDS,
    People,
    link_pair,
    link_to_raw,
    until,
)

from smule_crypten.errors import PeerDisconnectedError, ProtocolError, SmuleError
from smule_crypten.transport.early import MOST_EARLY
from smule_crypten.transport.frames import AGREED_JSON_BYTES, MAX_JSON_BYTES, MAX_PAYLOAD_BYTES, FrameWriter, Kind
from smule_crypten.transport.link import Link


def _frame(kind: Kind, payload: bytes = b"", *, announced: int | None = None, sequence: int = 0) -> bytes:
    """A frame whose header may lie."""
    header = bytearray(FrameWriter().header(kind, 0))
    header[8:16] = sequence.to_bytes(8, "little")
    header[16:24] = (len(payload) if announced is None else announced).to_bytes(8, "little")
    return bytes(header) + payload


def _want_json(link: Link) -> None:
    link.receive_json()


def _want_tensors(link: Link) -> None:
    """Two tensors of 16 bytes."""
    link.transfer([], [memoryview(bytearray(16)), memoryview(bytearray(16))])


@contextmanager
def traced_memory() -> Iterator[Callable[[], int]]:
    """The most that Python has allocated meanwhile, in bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


_TENSOR = _frame(Kind.TENSOR, bytes(16))


@pytest.mark.parametrize(
    ("sent", "want", "kind", "message"),
    [
        (_frame(Kind.TENSOR, announced=MAX_PAYLOAD_BYTES + 1), _want_tensors, ProtocolError, "is over the limit"),
        (_frame(Kind.JSON, announced=MAX_JSON_BYTES + 1), _want_json, ProtocolError, "is over the limit"),
        (_frame(Kind.HEARTBEAT, announced=1), _want_json, ProtocolError, "is over the limit"),
        (_TENSOR + _TENSOR, _want_tensors, ProtocolError, "frame 0 where 1 was due: replayed or lost"),
        (_frame(Kind.TENSOR, bytes(16), sequence=1), _want_tensors, ProtocolError, "replayed or lost"),
        (_TENSOR[:30], _want_tensors, PeerDisconnectedError, "closed the connection"),
        (_TENSOR[:10], _want_tensors, PeerDisconnectedError, "closed the connection"),
        (b"", _want_tensors, PeerDisconnectedError, "closed the connection"),
        (_frame(Kind.JSON).replace(b"\x02", b"\x09", 1), _want_json, ProtocolError, "unknown kind 9"),
        (b"GET / HTTP/1.1\r\nHost: party-a\r\n\r\n", _want_json, ProtocolError, "does not speak this protocol"),
        (_frame(Kind.JSON, b"{}"), _want_tensors, ProtocolError, "a JSON frame of 2 bytes where a tensor of 16 bytes"),
        (_TENSOR, _want_json, ProtocolError, "a TENSOR frame where a JSON message was due"),
        (_frame(Kind.TENSOR, bytes(15)), _want_tensors, ProtocolError, "15 bytes where a tensor of 16 bytes was due"),
        (_frame(Kind.TENSOR, bytes(17)), _want_tensors, ProtocolError, "17 bytes where a tensor of 16 bytes was due"),
        (_frame(Kind.TENSOR), _want_tensors, ProtocolError, "0 bytes where a tensor of 16 bytes was due"),
        (_frame(Kind.JSON, b"{"), _want_json, ProtocolError, "a message that is not JSON"),
        (_frame(Kind.JSON, b"\xff\xff"), _want_json, ProtocolError, "a message that is not JSON"),
        (_frame(Kind.JSON, b"[" * 200_000), _want_json, ProtocolError, "a message that is not JSON"),
        (_frame(Kind.JSON), _want_json, ProtocolError, "a message that is not JSON"),
    ],
)
def test_a_peer_that_misbehaves_is_named(
    people: People, sent: bytes, want: Callable[[Link], None], kind: type[SmuleError], message: str
) -> None:
    """Whatever an authenticated peer sends out of turn ends in the promised error, in one line that names it."""
    with link_to_raw(people) as (link, raw):
        raw.sendall(sent)
        if kind is PeerDisconnectedError:
            raw.close()
        with pytest.raises(kind, match=f"^party b:? .*{message}.*$") as caught:
            want(link)
        with pytest.raises(kind) as again:
            link.check()
    assert again.value is caught.value


def test_an_announced_length_allocates_nothing(people: People) -> None:
    """A peer that announces 8 GiB where 16 bytes are due costs no memory."""
    with link_to_raw(people) as (link, raw):
        raw.sendall(_frame(Kind.TENSOR, announced=MAX_PAYLOAD_BYTES))
        with traced_memory() as peak_bytes:
            with pytest.raises(ProtocolError, match="where a tensor of 16 bytes was due"):
                _want_tensors(link)
            assert peak_bytes() < 1 << 20


def test_a_length_that_is_announced_early_allocates_nothing(people: People) -> None:
    """Protects memory while nothing is asked for: the dealer, or a peer while this side sends, announces 8 GiB and
    sends 3 MB of it. It costs 3 MB, and the tensor is refused as soon as another one is due."""
    sent = 3 << 20
    with link_to_raw(people) as (link, raw), traced_memory() as peak_bytes:
        raw.sendall(_frame(Kind.TENSOR, bytes(sent), announced=MAX_PAYLOAD_BYTES))
        until(lambda: link.read_ahead(256 << 20) or link.early_bytes >= sent)
        with pytest.raises(
            ProtocolError, match=f"a TENSOR frame of {MAX_PAYLOAD_BYTES} bytes where a tensor of 16 bytes"
        ):
            _want_tensors(link)
        assert peak_bytes() < 4 * sent


def test_no_more_is_held_early_than_was_set_aside(people: People) -> None:
    """What comes beyond the limit waits in the socket, and the tensor is whole in the end."""
    payload, limit = bytes(range(256)) * (5 << 12), (1 << 20) + 1000
    with link_pair(people) as (a, b), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(b.transfer, [memoryview(payload), memoryview(b"next")], [])
        until(lambda: a.read_ahead(limit) or a.early_bytes >= limit)
        a.read_ahead(limit)
        assert a.early_bytes == limit
        received = [bytearray(len(payload)), bytearray(4)]
        a.transfer([], [memoryview(buffer) for buffer in received])
        sending.result(PATIENCE_SECONDS)
    assert received == [payload, b"next"]


def test_tensors_of_no_bytes_are_not_piled_up(people: People) -> None:
    """They come under any limit of bytes, and each costs some memory of its own: what is many waits in the socket."""
    flood = b"".join(_frame(Kind.TENSOR, sequence=number) for number in range(20_000))
    with link_to_raw(people) as (link, raw), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(raw.sendall, flood)
        until(lambda: link.read_ahead(1 << 20) or sending.done() or len(link._early) >= MOST_EARLY)
        for _ in range(10):
            link.read_ahead(1 << 20)
        assert len(link._early) <= MOST_EARLY
        link.transfer([], [memoryview(bytearray()) for _ in range(20_000)])
        sending.result(PATIENCE_SECONDS)


def test_messages_are_short_once_both_have_agreed(people: People) -> None:
    """Configuration and architectures are the longest messages there are; nothing after them needs as much."""
    with link_to_raw(people) as (link, raw):
        link.limit_messages(AGREED_JSON_BYTES)
        raw.sendall(_frame(Kind.JSON, announced=AGREED_JSON_BYTES + 1))
        with pytest.raises(ProtocolError, match=f"{AGREED_JSON_BYTES + 1} bytes received is over the limit"):
            link.receive_json()


def _flood(raw: ssl.SSLSocket) -> None:
    """Send 50 MB of messages."""
    for sequence in range(500):
        raw.sendall(_frame(Kind.JSON, b'"' + b"x" * 100_000 + b'"', sequence=sequence))


def test_a_peer_that_floods_is_not_read(people: People) -> None:
    """Messages that nobody asked for wait at the sender's side, not in our memory."""
    with link_to_raw(people) as (link, raw):
        raw.settimeout(0.5)
        with pytest.raises(TimeoutError):
            _flood(raw)
        link.check()
        assert link.receive_json()[0] == "x" * 100_000
