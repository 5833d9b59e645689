"""Links over real sockets: orderly ends, refusals, and the other links of a process."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import (
    DEADLINE_SECONDS,
    LATE_SECONDS,
    PATIENCE_SECONDS,
    People,
    fails_in_the_background,
    let_time_pass,
    link_pair,
    link_to_raw,
    open_tls_threads,
    swap,
    tls_pair,
    together,
    until,
)

from smule_crypten.errors import BudgetError, PeerDisconnectedError, PeerError, PeerRefusedError, PeerTimeoutError
from smule_crypten.transport.ending import give_up as give_up_on
from smule_crypten.transport.frames import FrameWriter, Kind
from smule_crypten.transport.link import Link
from smule_crypten.types import DEALER

_DEADLINE = 0.5


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
        together(send_and_leave, lambda: (let_time_pass(0.3), b.transfer([], [memoryview(received)])))
        assert received == payload
        assert time.monotonic() - started < PATIENCE_SECONDS / 2


def test_both_may_close_at_once_and_again(people: People) -> None:
    """Orderly ends cross without a wait, and closing twice does nothing."""
    with link_pair(people) as (a, b):
        started = time.monotonic()
        together(a.close, b.close)
        assert time.monotonic() - started < LATE_SECONDS
        a.close()


def test_closing_does_not_outlast_the_deadline(people: People) -> None:
    """A peer that never answers the end cannot keep this side."""
    with link_to_raw(people, _DEADLINE) as (link, _):
        started = time.monotonic()
        link.close()
        assert time.monotonic() - started < _DEADLINE + LATE_SECONDS


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
        assert seconds < 2.0 + LATE_SECONDS


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
        until(lambda: b.is_over)
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


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (None, 6),
        (3, 6),
        ("KeyboardInterrupt", 6),
        ("PeerTimeoutError", 6),
        ("PeerRefusedError", 6),
        ("RestartError", 12),
        ("HandshakeError", 13),
        ("BudgetError", 14),
        ("PeerDeclinedError", 14),
        ("RuntimeError", 14),
        ("\x1b[2J", 14),
    ],
)
def test_the_kind_of_a_refusal_says_whether_another_try_is_worth_it(
    people: People, kind: object, exit_code: int
) -> None:
    """Code 6 is what a restart loop goes on with; a mistake or a refused budget ends it at both sides."""
    body = json.dumps({"kind": kind, "reason": "why"}).encode()
    with link_to_raw(people) as (link, raw):
        raw.sendall(FrameWriter().header(Kind.REFUSAL, len(body)) + body)
        with pytest.raises(PeerError, match=r"^party b gave up: why$") as refused:
            link.receive_json()
    assert (refused.value.exit_code, refused.value.about) == (exit_code, "party b")


def test_the_dealer_hears_the_kind_only(people: People) -> None:
    """What the parties disagree on holds names of classes, means and budgets, which are not the dealer's business."""
    lost = PeerTimeoutError("party b was silent for 30 seconds at 192.0.2.1")
    lost.about = "party b"
    for error, told in ((BudgetError("20 left"), "BudgetError"), (lost, "PeerTimeoutError (party b)")):
        with link_pair(people) as (a, b):
            a.peer = DEALER
            give_up_on([a], error)
            with pytest.raises(PeerError) as refused:
                b.receive_json()
        assert str(refused.value) == f"party a gave up: {told}; see its own log"


def test_refusing_a_stuck_peer_takes_a_moment_only(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A side that gives up in the middle of a long transfer to a peer that reads nothing is soon gone."""
    monkeypatch.setattr("smule_crypten.transport.link._REFUSAL_SECONDS", 0.5)
    with link_to_raw(people, peer="the dealer") as (companion, dealer), link_to_raw(people, 60.0) as (with_b, _):
        with_b.companions = [companion]
        dealer.close()
        fails_in_the_background(companion)
        with pytest.raises(PeerDisconnectedError, match="the dealer closed the connection"):
            with_b.transfer([memoryview(bytes(50_000_000))], [])
        started = time.monotonic()
        with_b.refuse("no use")
        with_b.close()
        assert time.monotonic() - started < 0.5 + LATE_SECONDS


# -- companions --------------------------------------------------------------------------------------------------------


def test_the_failure_of_a_companion_ends_alet_time_pass(people: People) -> None:
    """While one process is waited for, the death of another one is not overlooked."""
    with link_pair(people) as (with_b, _), link_to_raw(people, peer="the dealer") as (with_dealer, dealer):
        with_b.companions = [with_dealer]
        dealer.close()
        started = time.monotonic()
        with pytest.raises(PeerDisconnectedError, match="the dealer closed the connection"):
            with_b.receive_json()
        assert time.monotonic() - started < 1.0 + LATE_SECONDS


def test_the_orderly_end_of_a_companion_ends_nothing(people: People) -> None:
    """A dealer that has finished may leave before the parties have."""
    with link_pair(people) as (with_b, b), link_pair(people) as (with_dealer, dealer):
        with_b.companions = [with_dealer]
        dealer.close()
        until(lambda: with_dealer.is_over)
        swap(with_b, b)


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
