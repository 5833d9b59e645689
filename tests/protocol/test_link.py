"""Links over real sockets: both directions, silence, death, orderly ends and refusals."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import (
    DEADLINE_SECONDS,
    PATIENCE_SECONDS,
    People,
    echoing_process,
    fails_in_the_background,
    link_pair,
    link_to_raw,
    open_tls_threads,
    tls_pair,
    together,
    until,
)

from smule_crypten.errors import PeerDisconnectedError, PeerRefusedError, PeerTimeoutError, ProtocolError
from smule_crypten.mpc.frames import READ_AHEAD_BYTES, FrameWriter, Kind
from smule_crypten.mpc.link import Link

_DEADLINE = 0.5
_IDLE_DEADLINE = 0.6
_IDLE = 1.3
"""Longer than two deadlines."""
_LATE = 1.5
"""How much later than its deadline a failure may be noticed on a busy machine."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("people"))


def _round(first: Link, second: Link, payload: bytes = b"12345678") -> None:
    """One crossing message each way, checked."""
    received = [bytearray(len(payload)), bytearray(len(payload))]
    together(
        lambda: first.transfer([memoryview(payload)], [memoryview(received[0])]),
        lambda: second.transfer([memoryview(payload)], [memoryview(received[1])]),
    )
    assert received == [payload, payload]


def _wait(seconds: float) -> None:
    """Only where the passing of time itself is the subject."""
    threading.Event().wait(seconds)


# -- both directions -------------------------------------------------------------------------------------------------


def test_50_mb_cross_without_deadlock(people: People) -> None:
    """Two sides that send far more than the buffers hold, at once, both finish, and no byte is lost or moved."""
    payload = bytes(range(251)) * (50_000_000 // 251)
    with link_pair(people) as (a, b):
        _round(a, b, payload)


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
        _wait(_IDLE)
        a.check()
        b.check()
        _round(a, b)


def test_heartbeats_keep_a_waiting_side_patient(people: People) -> None:
    """A side that waits for one that computes longer than the deadline gets its answer."""
    with link_pair(people, _IDLE_DEADLINE) as (a, b):

        def compute_and_answer() -> None:
            _wait(_IDLE)
            b.send_json("answer")

        answer, _ = together(a.receive_json, compute_and_answer)
        assert answer[0] == "answer"


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_peer_that_sent_early_is_not_taken_for_silent(people: People, size: int) -> None:
    """Its heartbeats may wait behind a tensor that this side, which computes, has not read yet."""
    payload = bytes([7]) * size
    with link_pair(people, _IDLE_DEADLINE) as (a, b):
        b.transfer([memoryview(payload)], [])
        _wait(_IDLE)
        a.check()
        received = bytearray(size)
        a.transfer([], [memoryview(received)])
        assert received == payload


def test_a_peer_that_sent_early_may_be_slow_to_read(people: People) -> None:
    """Nor is it silent while this side, which has not read that tensor, sends more than the buffers hold."""
    with link_pair(people, _IDLE_DEADLINE) as (a, b):
        b.transfer([memoryview(bytes(1_000_000))], [])
        _wait(_IDLE)
        payload, received = bytes(20_000_000), bytearray(1_000_000)

        def read_slowly() -> None:
            for _ in range(4):
                _wait(_IDLE_DEADLINE / 3)
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
        assert _DEADLINE / 2 < time.monotonic() - started < _DEADLINE + _LATE


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
        assert time.monotonic() - started < _DEADLINE + _LATE


def test_a_process_that_was_stopped_itself_blames_nobody(people: People) -> None:
    """After SIGCONT the heartbeats that waited in the socket count: a paused laptop does not end the run."""
    with echoing_process(people, _DEADLINE, own_deadline_seconds=PATIENCE_SECONDS) as (link, process, reports):
        link.send_json(1)
        link.receive_json()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        _wait(3 * _DEADLINE)
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
        assert time.monotonic() - started < _LATE


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


# -- orderly ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("want", [Link.receive_json, lambda link: link.send_json(1)])
def test_an_orderly_end_is_no_failure_until_more_is_wanted(people: People, want: Callable[[Link], object]) -> None:
    """What came before the end can still be read; then wanting more is an error that says so."""
    with link_pair(people) as (a, b):
        a.send_json("last")
        started = time.monotonic()
        a.close()
        assert time.monotonic() - started < DEADLINE_SECONDS - 0.5  # although b is busy
        b.check()
        assert b.receive_json()[0] == "last"
        with pytest.raises(PeerDisconnectedError, match="party a ended the connection before the work was done"):
            want(b)


def test_what_was_sent_before_the_end_arrives(people: People) -> None:
    """A side that closes with unread bytes in its socket does not destroy its last tensor on the way."""
    payload = bytes([9]) * 150_000
    small_at_b = (200_000, 16384)  # the socket of a holds all of it
    with link_pair(people, PATIENCE_SECONDS, buffer_bytes=small_at_b) as (a, b):
        b.transfer([memoryview(bytes(100_000))], [])  # never read
        received = bytearray(len(payload))

        def send_and_leave() -> None:
            a.transfer([memoryview(payload)], [])
            a.close()

        started = time.monotonic()
        together(send_and_leave, lambda: (_wait(0.3), b.transfer([], [memoryview(received)])))
        assert received == payload
        assert time.monotonic() - started < PATIENCE_SECONDS / 2


def test_both_may_close_at_once_and_again(people: People) -> None:
    """Orderly ends cross without a wait, and closing twice does nothing."""
    with link_pair(people) as (a, b):
        started = time.monotonic()
        together(a.close, b.close)
        assert time.monotonic() - started < _LATE
        a.close()


def test_closing_does_not_outlast_the_deadline(people: People) -> None:
    """A peer that never answers the end cannot keep this side."""
    with link_to_raw(people, _DEADLINE) as (link, _):
        started = time.monotonic()
        link.close()
        assert time.monotonic() - started < _DEADLINE + _LATE


def _ends_in_order(link: Link, raw: ssl.SSLSocket) -> None:
    raw.sendall(FrameWriter().header(Kind.BYE, 0))
    until(lambda: link.is_over)


def _breaks(link: Link, raw: ssl.SSLSocket) -> None:
    raw.close()
    fails_in_the_background(link)


def _speaks_garbage(link: Link, raw: ssl.SSLSocket) -> None:
    raw.sendall(b"garbage" * 10)
    fails_in_the_background(link)


@pytest.mark.parametrize("end", [_ends_in_order, _breaks, _speaks_garbage])
def test_a_closed_link_leaves_nothing_behind(people: People, end: Callable[[Link, ssl.SSLSocket], None]) -> None:
    """However a link ended, close gives back its thread and its socket."""
    with tls_pair(people) as (near, far):
        link = Link(near, "party b", DEADLINE_SECONDS)
        assert open_tls_threads() == ["heartbeat to party b"]
        end(link, far)
        link.close()
        assert open_tls_threads() == []
        assert near.fileno() == -1


# -- refusals --------------------------------------------------------------------------------------------------------


def _receive(link: Link) -> None:
    link.receive_json()


def _compute(link: Link) -> None:
    raise fails_in_the_background(link)


def _send_on(link: Link) -> None:
    while True:
        link.transfer([memoryview(bytes(100_000))], [])


@pytest.mark.parametrize("busy", [_receive, _compute, _send_on])
def test_the_reason_of_a_refusal_arrives(people: People, busy: Callable[[Link], None]) -> None:
    """Whatever the other side is doing, it learns why, and the side that gives up need not wait for it."""
    with link_pair(people) as (a, b):

        def give_up() -> float:
            started = time.monotonic()
            a.refuse("the query budget is spent")
            a.close()
            return time.monotonic() - started

        def be_refused() -> None:
            with pytest.raises(PeerRefusedError, match=r"^party a gave up: the query budget is spent$"):
                busy(b)

        seconds, _ = together(give_up, be_refused)
        assert seconds < 2.0 + _LATE


def _ask(link: Link, *tensors: bytes) -> None:
    link.transfer([memoryview(tensor) for tensor in tensors], [])
    link.receive_json()


def test_a_refusal_arrives_across_a_long_transfer(people: People) -> None:
    """A side that gives up while a large tensor is on its way to it still gets its reason through."""
    with link_pair(people) as (a, b):

        def give_up() -> None:
            a.transfer([], [memoryview(bytearray(8))])
            a.refuse("no room")
            a.close()

        def be_refused() -> None:
            with pytest.raises(PeerRefusedError, match="no room"):
                _ask(b, bytes(8), bytes(20_000_000))
            b.close()

        together(give_up, be_refused)


def test_a_refusal_comes_after_what_was_sent_before(people: People) -> None:
    """Messages from before are still delivered, so that a side finds by itself what the other one gave up for."""
    with link_pair(people) as (a, b):
        a.send_json("earlier")
        a.refuse("changed my mind")
        assert b.receive_json()[0] == "earlier"
        for want in (b.receive_json, lambda: b.send_json(1)):
            with pytest.raises(PeerRefusedError, match="changed my mind"):
                want()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"reason": "one\\ntwo\\u001b[2J"}', r"one two \[2J$"),
        (b'"' + b"x" * 10_000 + b'"', "without a usable reason"),
        (b'{"reason": "' + b"x" * 10_000 + b'"}', "x{500}$"),
        (b"\xff", "without a usable reason"),
        (b"[" * 100_000, "without a usable reason"),
    ],
)
def test_a_reason_is_shown_as_one_harmless_line(people: People, body: bytes, shown: str) -> None:
    """The peer's words reach a terminal and a log."""
    with link_to_raw(people) as (link, raw):
        raw.sendall(FrameWriter().header(Kind.REFUSAL, len(body)) + body)
        with pytest.raises(PeerRefusedError, match=f"party b gave up: {shown}"):
            link.receive_json()


def test_refusing_a_stuck_peer_takes_a_moment_only(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A side that gives up in the middle of a long transfer to a peer that reads nothing is soon gone."""
    monkeypatch.setattr("smule_crypten.mpc.link._REFUSAL_SECONDS", 0.5)
    with link_to_raw(people, peer="the dealer") as (companion, dealer), link_to_raw(people, 60.0) as (with_b, _):
        with_b.companions = [companion]
        dealer.close()
        fails_in_the_background(companion)
        with pytest.raises(PeerDisconnectedError, match="the dealer closed the connection"):
            with_b.transfer([memoryview(bytes(50_000_000))], [])
        started = time.monotonic()
        with_b.refuse("no use")
        with_b.close()
        assert time.monotonic() - started < 0.5 + _LATE


# -- companions --------------------------------------------------------------------------------------------------------


def test_the_failure_of_a_companion_ends_a_wait(people: People) -> None:
    """While one process is waited for, the death of another one is not overlooked."""
    with link_pair(people) as (with_b, _), link_to_raw(people, peer="the dealer") as (with_dealer, dealer):
        with_b.companions = [with_dealer]
        dealer.close()
        started = time.monotonic()
        with pytest.raises(PeerDisconnectedError, match="the dealer closed the connection"):
            with_b.receive_json()
        assert time.monotonic() - started < 1.0 + _LATE


def test_the_orderly_end_of_a_companion_ends_nothing(people: People) -> None:
    """A dealer that has finished may leave before the parties have."""
    with link_pair(people) as (with_b, b), link_pair(people) as (with_dealer, dealer):
        with_b.companions = [with_dealer]
        dealer.close()
        until(lambda: with_dealer.is_over)
        _round(with_b, b)


def test_a_refusal_is_sent_although_a_companion_has_failed(people: People) -> None:
    """The usual reason for giving up on one link is the failure of another one."""
    with link_pair(people) as (with_b, b), link_to_raw(people) as (with_dealer, dealer):
        with_b.companions = [with_dealer]
        dealer.close()
        fails_in_the_background(with_dealer)
        with ThreadPoolExecutor(1) as pool:
            leaving = pool.submit(lambda: (with_b.refuse("the dealer is gone"), with_b.close()))
            with pytest.raises(PeerRefusedError, match="party a gave up: the dealer is gone"):
                b.receive_json()
            leaving.result(PATIENCE_SECONDS)
