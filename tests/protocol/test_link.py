"""Links over real sockets: both directions at once, silence, and death."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator

import pytest
from loopback import (
    LATE_SECONDS,
    PATIENCE_SECONDS,
    People,
    echoing_process,
    fails_in_the_background,
    let_time_pass,
    link_pair,
    link_to_raw,
    swap,
    tls_pair,
    together,
)

from smule_crypten.errors import PeerDisconnectedError, PeerTimeoutError, ProtocolError
from smule_crypten.transport.frames import READ_AHEAD_BYTES, FrameWriter, Kind
from smule_crypten.transport.link import Link

_DEADLINE = 0.5
_IDLE_DEADLINE = 0.6
_IDLE = 1.3
"""Longer than two deadlines."""


# -- both directions -------------------------------------------------------------------------------------------------


def test_50_mb_cross_without_deadlock(people: People) -> None:
    """Two sides that send far more than the buffers hold, at once, both finish, and no byte is lost or moved."""
    payload = bytes(range(251)) * (50_000_000 // 251)
    with link_pair(people) as (a, b):
        swap(a, b, payload)


class _Guarded(deque[memoryview]):
    """What waits to be sent; says whether it is only walked through by who holds the lock."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self._lock = lock
        self.seen: list[bool] = []

    def __iter__(self) -> Iterator[memoryview]:
        self.seen.append(self._lock.locked())
        return super().__iter__()


def test_what_waits_is_counted_under_the_lock(people: People) -> None:
    """The heartbeat thread sends what waits, too; a deque that changes while it is walked through raises an error."""
    with link_pair(people) as (a, _b):
        a._frames.outgoing = waiting = _Guarded(a._lock)
        a.flush()
    assert waiting.seen
    assert all(waiting.seen)


@pytest.mark.parametrize("count", [1, 5])
def test_who_reads_later_does_not_block_the_other(people: People, count: int) -> None:
    """Two sides that each send more than the buffers hold, but ask for the first byte of the other's only, both go on,
    however different their sizes; the order stays."""
    payloads = {"a": [b"a", *(bytes([n]) * 9_000_000 for n in range(count))], "b": [b"b", bytes(range(250)) * 60_000]}

    def send_and_read_later(link: Link, own: list[bytes], theirs: list[bytes]) -> list[bytearray]:
        received = [bytearray(len(payload)) for payload in theirs]
        link.transfer([memoryview(payload) for payload in own], [memoryview(received[0])])
        for buffer in received[1:]:
            link.transfer([], [memoryview(buffer)])
        return received

    with link_pair(people) as (a, b):
        received = together(
            lambda: send_and_read_later(a, payloads["a"], payloads["b"]),
            lambda: send_and_read_later(b, payloads["b"], payloads["a"]),
        )
        assert received == [payloads["b"], payloads["a"]]


def test_tcp_tries_again_each_second_and_does_not_give_up(people: People) -> None:
    """Where the kernel can, a cut network is used again a second after it was mended, and only the link judges."""
    rto_max_ms = 44
    with tls_pair(people) as (a, b):
        try:
            a.setsockopt(socket.IPPROTO_TCP, rto_max_ms, 2000)
        except OSError:
            pytest.skip("needs Linux 6.15")
        link = Link(a, "party b", _DEADLINE)
        assert a.getsockopt(socket.IPPROTO_TCP, rto_max_ms) == 1000
        assert a.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 3_600_000
        b.close()
        link.close()


@pytest.mark.parametrize("size", [0, 1, READ_AHEAD_BYTES, READ_AHEAD_BYTES + 1, 3_000_000])
def test_tensors_of_every_size_cross_in_order(people: People, size: int) -> None:
    """Small tensors are read ahead, large ones in place; the order stays, also for empty ones."""
    payloads = [bytes([number]) * size for number in range(3)]
    with link_pair(people) as (a, b):
        received = [bytearray(size) for _ in payloads]
        together(
            lambda: a.transfer([memoryview(payload) for payload in payloads], []),
            lambda: b.transfer([], [memoryview(buffer) for buffer in received]),
        )
        assert received == payloads


def test_long_json_crosses_over_small_buffers(people: People) -> None:
    """Two sides that send JSON at once do not block each other, however small the buffers of a network are."""
    text = "x" * 300_000
    with link_pair(people, buffer_bytes=(16384, 16384)) as (a, b):
        sent = together(lambda: (a.send_json(text), a.receive_json()), lambda: (b.send_json(text), b.receive_json()))
    assert sent == [(len(text) + 2, (text, len(text) + 2))] * 2


# -- silence ---------------------------------------------------------------------------------------------------------


def test_heartbeats_keep_an_idle_link_alive(people: People) -> None:
    """Two sides that compute for more than two deadlines are still together."""
    with link_pair(people, _IDLE_DEADLINE) as (a, b):
        let_time_pass(_IDLE)
        a.check()
        b.check()
        swap(a, b)


def test_heartbeats_keep_a_waiting_side_patient(people: People) -> None:
    """A side that waits for one that computes longer than the deadline gets its answer."""
    with link_pair(people, _IDLE_DEADLINE) as (a, b):

        def compute_and_answer() -> None:
            let_time_pass(_IDLE)
            b.send_json("answer")

        answer, _ = together(a.receive_json, compute_and_answer)
        assert answer[0] == "answer"


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_peer_that_sent_early_is_not_taken_for_silent(people: People, size: int) -> None:
    """Its heartbeats may wait behind a tensor that this side, which computes, has not read yet."""
    payload = bytes([7]) * size
    with link_pair(people, _IDLE_DEADLINE) as (a, b):
        b.transfer([memoryview(payload)], [])
        let_time_pass(_IDLE)
        a.check()
        received = bytearray(size)
        a.transfer([], [memoryview(received)])
        assert received == payload


def test_a_peer_that_sent_early_may_be_slow_to_read(people: People) -> None:
    """Nor is it silent while this side, which has not read that tensor, sends more than the buffers hold."""
    with link_pair(people, _IDLE_DEADLINE) as (a, b):
        b.transfer([memoryview(bytes(1_000_000))], [])
        let_time_pass(_IDLE)
        payload, received = bytes(20_000_000), bytearray(1_000_000)

        def read_slowly() -> None:
            for _ in range(4):
                let_time_pass(_IDLE_DEADLINE / 3)
                b.transfer([], [memoryview(bytearray(5_000_000))])

        parts = [memoryview(payload)[start : start + 5_000_000] for start in range(0, 20_000_000, 5_000_000)]
        together(lambda: (a.transfer(parts, []), a.transfer([], [memoryview(received)])), read_slowly)


def test_a_side_that_is_slow_to_read_shows_life_meanwhile(people: People) -> None:
    """A tensor may take longer than the deadline although the reading side never has to wait for the network."""
    with tls_pair(people) as (near, far):
        clock, recv_into = threading.Event(), far.recv_into

        def slow_recv_into(buffer: memoryview) -> int:
            count = recv_into(buffer)
            clock.wait(0.001)
            return count

        far.recv_into = slow_recv_into  # type: ignore[method-assign,assignment]
        a, b = Link(near, "party b", _IDLE_DEADLINE), Link(far, "party a", _IDLE_DEADLINE)
        payload, received = bytes(20_000_000), bytearray(20_000_000)
        together(lambda: a.transfer([memoryview(payload)], []), lambda: b.transfer([], [memoryview(received)]))
        together(a.close, b.close)


@pytest.mark.parametrize("begin", [b"", FrameWriter().header(Kind.TENSOR, 1_000_000) + bytes(1000)])
def test_a_silent_peer_is_named_within_the_deadline(people: People, begin: bytes) -> None:
    """One that never sends anything, and one that stops in the middle of a tensor."""
    with link_to_raw(people, _DEADLINE) as (link, raw):
        raw.sendall(begin)
        started = time.monotonic()
        with pytest.raises(PeerTimeoutError, match=r"party b was silent for 0\.\d seconds"):
            link.transfer([], [memoryview(bytearray(1_000_000))])
        assert _DEADLINE / 2 < time.monotonic() - started < _DEADLINE + LATE_SECONDS


def test_a_computing_side_learns_of_silence(people: People) -> None:
    """Between the steps of long local work, check says that the peer is gone."""
    with link_to_raw(people, _DEADLINE) as (link, _):
        error = fails_in_the_background(link)
    assert isinstance(error, PeerTimeoutError)


def test_a_peer_that_takes_nothing_ends_a_long_transfer(people: People) -> None:
    """Sending is under the deadline, too."""
    with link_to_raw(people, _DEADLINE) as (link, _), pytest.raises(PeerTimeoutError, match="party b was silent"):
        link.transfer([memoryview(bytes(50_000_000))], [])


def test_a_stopped_process_times_out(people: People) -> None:
    """SIGSTOP leaves the connection up; only the missing heartbeats tell."""
    with echoing_process(people, PATIENCE_SECONDS, own_deadline_seconds=_DEADLINE) as (link, process, _):
        link.send_json(1)
        link.receive_json()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(PeerTimeoutError, match="party b was silent"):
            link.receive_json()
        assert time.monotonic() - started < _DEADLINE + LATE_SECONDS


def test_a_process_that_was_stopped_itself_blames_nobody(people: People) -> None:
    """After SIGCONT the heartbeats that waited in the socket count: a paused laptop does not end the run."""
    with echoing_process(people, _DEADLINE, own_deadline_seconds=PATIENCE_SECONDS) as (link, process, reports):
        link.send_json(1)
        link.receive_json()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        let_time_pass(3 * _DEADLINE)
        os.kill(process.pid, signal.SIGCONT)
        link.send_json("after")
        assert link.receive_json()[0] == "after"
        assert not reports.poll()


# -- death -----------------------------------------------------------------------------------------------------------


def test_a_killed_process_is_a_disconnected_peer(people: People) -> None:
    """SIGKILL is noticed at once, not after the deadline."""
    with echoing_process(people, PATIENCE_SECONDS, own_deadline_seconds=PATIENCE_SECONDS) as (link, process, _):
        process.kill()
        started = time.monotonic()
        with pytest.raises(PeerDisconnectedError, match="party b closed the connection"):
            link.receive_json()
        assert time.monotonic() - started < LATE_SECONDS


def test_a_computing_side_learns_of_death(people: People) -> None:
    """A connection that breaks is noticed by the heartbeat thread long before the deadline."""
    with link_to_raw(people) as (link, raw):
        raw.close()
        assert isinstance(fails_in_the_background(link), PeerDisconnectedError)


def test_a_tampered_stream_is_not_taken_for_a_disconnection(people: People) -> None:
    """Bytes that somebody on the network puts into the encrypted stream give an error of their own."""
    with link_to_raw(people) as (link, raw):
        with socket.socket(fileno=os.dup(raw.fileno())) as beneath_tls:
            beneath_tls.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ProtocolError, match="party b: the encrypted stream is damaged or was tampered with"):
            link.receive_json()
