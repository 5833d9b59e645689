"""Who may come in at a listening port, and who is turned away."""

from __future__ import annotations

import logging
import queue
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from loopback import (
    DEADLINE_SECONDS,
    LOOPBACK,
    PATIENCE_SECONDS,
    People,
    certify,
    client_context,
    let_time_pass,
    meet_honestly,
    open_tls_threads,
    until,
    waiting,
)

from smule_crypten.errors import CredentialError, PeerDisconnectedError, PeerRefusedError, PeerTimeoutError
from smule_crypten.transport import reception
from smule_crypten.transport.credentials import Identity
from smule_crypten.transport.endpoint import Address, accept_all, connect, listen
from smule_crypten.transport.reception import WELCOME, network_of

Visit = Callable[[People, socket.socket], socket.socket]
"""What a stranger does with its connection; returns the connection to watch for the end."""


def _say_nothing(people: People, raw: socket.socket) -> socket.socket:
    return raw


def _send_garbage(people: People, raw: socket.socket) -> socket.socket:
    raw.sendall(bytes(range(256)) * 4)
    return raw


def _send_http(people: People, raw: socket.socket) -> socket.socket:
    raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return raw


def _speak_tls(raw: socket.socket, identity: Identity | None, newest: ssl.TLSVersion) -> socket.socket:
    context = client_context(identity)
    context.maximum_version = newest
    connection = context.wrap_socket(raw, do_handshake_on_connect=False)
    try:
        connection.do_handshake()
    except ssl.SSLError:
        assert newest is ssl.TLSVersion.TLSv1_2  # the end of a TLS 1.3 handshake does not tell a client its fate
    return connection


def _show_no_certificate(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, None, ssl.TLSVersion.TLSv1_3)


def _show_a_wrong_certificate(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, people.stranger, ssl.TLSVersion.TLSv1_3)


def _show_an_expired_certificate(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, people.expired, ssl.TLSVersion.TLSv1_3)


def _show_a_certificate_that_b_issued(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, people.issued_by_b, ssl.TLSVersion.TLSv1_3)


def _show_the_listeners_own_certificate(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, people.a, ssl.TLSVersion.TLSv1_3)


def _speak_old_tls(people: People, raw: socket.socket) -> socket.socket:
    return _speak_tls(raw, people.b, ssl.TLSVersion.TLSv1_2)


def _is_hung_up(connection: socket.socket) -> bool:
    """Whether the other end closes, without ever having said WELCOME."""
    connection.settimeout(PATIENCE_SECONDS)
    try:
        return connection.recv(1) != WELCOME
    except TimeoutError:
        return False
    except OSError:
        return True


def _hung_up(connections: list[socket.socket]) -> list[socket.socket]:
    """Those of them that the other end has closed by now."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLRDHUP)
    ended = {descriptor for descriptor, _ in poll.poll(0)}
    return [connection for connection in connections if connection.fileno() in ended]


@pytest.mark.parametrize(
    ("visit", "logged"),
    [
        (_say_nothing, "did not complete the TLS handshake"),
        (_send_garbage, ""),
        (_send_http, "HTTP_REQUEST"),
        (_show_no_certificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        (_show_a_wrong_certificate, "self.signed certificate"),
        (_show_an_expired_certificate, "self.signed certificate"),
        (_show_a_certificate_that_b_issued, "unable to get local issuer certificate|invalid CA certificate"),
        (_show_the_listeners_own_certificate, "self.signed certificate"),
        (_speak_old_tls, "UNSUPPORTED_PROTOCOL"),
    ],
)
def test_a_stranger_is_turned_away_and_the_honest_one_admitted(
    people: People, visit: Visit, logged: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes before party b is hung up on and logged with the reason, and party b gets in all the same."""
    monkeypatch.setattr(reception, "_TLS_SECONDS", 0.3)
    with waiting(people) as host:
        with host.raw() as raw, visit(people, raw) as connection:
            assert _is_hung_up(connection)
        until(lambda: len(caplog.records) == 1)
        monkeypatch.undo()
        meet_honestly(people, host)
    assert re.fullmatch(rf"turned away a connection from 127\.0\.0\.1: .*({logged}).*", caplog.records[0].getMessage())


def test_nobody_waits_once_all_have_come(people: People) -> None:
    """A meeting ends with the last arrival: the thread that listens for more is woken. It used to look each 0.2 s."""
    started = time.monotonic()
    for _ in range(20):
        with listen(Address(LOOPBACK, 0)) as listener:
            accept_all(listener, people.a, {}, join_seconds=PATIENCE_SECONDS, deadline_seconds=DEADLINE_SECONDS)
    assert time.monotonic() - started < 2.0


def test_the_end_of_a_meeting_cuts_off_no_arrival(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was admitted stays connected, also where the meeting ends before the thread of its handshake has."""

    class SlowlyEntered(queue.SimpleQueue[tuple[str, ssl.SSLSocket]]):
        def put(self, item: tuple[str, ssl.SSLSocket], block: bool = True, timeout: float | None = None) -> None:
            super().put(item)
            let_time_pass(0.2)

    begin = reception.Reception.__enter__

    def enter(self: reception.Reception) -> reception.Reception:
        self.arrivals = SlowlyEntered()
        return begin(self)

    monkeypatch.setattr(reception.Reception, "__enter__", enter)
    with waiting(people) as host:
        meet_honestly(people, host)


def test_strangers_that_stall_keep_nobody_out(
    people: People, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More stalled connections than may shake hands at a time do not delay party b, and cost two lines in all."""
    monkeypatch.setattr(reception, "_MAX_HANDSHAKES", 4)
    with waiting(people) as host:
        strangers = [host.raw() for _ in range(10)]
        until(lambda: len(_hung_up(strangers)) == 6)
        started = time.monotonic()
        meet_honestly(people, host)
        assert time.monotonic() - started < 2.0
        assert all(_is_hung_up(stranger) for stranger in strangers)
        assert time.monotonic() - started < 2.0
        for stranger in strangers:
            stranger.close()
    assert open_tls_threads() == []
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert re.fullmatch(
        r"turned away a connection from 127\.0\.0\.1: .* \(the last of 9 more from 127\.0\.0\.1\)", lines[1]
    )


def test_strangers_elsewhere_push_nobody_out(people: People) -> None:
    """Protects one that needs longer for its handshake than strangers need for 200 connections from two addresses: it
    was there first, and is admitted all the same. They get in each other's way only."""
    with waiting(people) as host, host.raw() as slow:
        until(lambda: "handshake 127.0.0.1" in open_tls_threads())
        strangers = [host.raw(f"127.0.0.{2 + number % 2}") for number in range(200)]
        until(lambda: len(_hung_up(strangers)) >= 200 - 63)
        connection = client_context(people.b).wrap_socket(slow)
        connection.settimeout(PATIENCE_SECONDS)
        assert connection.recv(1) == WELCOME
        host.links.result(PATIENCE_SECONDS)
        for stranger in (connection, *strangers):
            stranger.close()


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_one_origin(host: str, network: str) -> None:
    """Addresses that cost a stranger nothing count as one."""
    assert network_of(host) == network


def _drip(raw: socket.socket, data: bytes) -> None:
    clock = threading.Event()
    for byte in data:
        raw.sendall(bytes([byte]))
        clock.wait(0.05)


def test_a_stranger_that_drips_is_dropped_in_time(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a handshake is a total: sending a byte now and then does not prolong it."""
    monkeypatch.setattr(reception, "_TLS_SECONDS", 0.3)
    with waiting(people) as host:
        with host.raw() as raw:
            started = time.monotonic()
            with pytest.raises(OSError, match=r"reset|pipe|abort"):
                _drip(raw, b"\x16\x03\x01\x02\x00" + bytes(512))
            assert time.monotonic() - started < 3.0
        meet_honestly(people, host)


def test_who_did_not_come_and_who_came_instead_are_named(people: People) -> None:
    """The error of a wait in vain tells a wrong address from a wrong certificate; who did come is told why it ends."""
    expected = {"party b": people.b.certificate, "party c": people.stranger.certificate}
    with waiting(people, expected, join_seconds=0.5) as host:
        link = host.connect(people)
        with host.raw() as raw:
            _is_hung_up(_send_http(people, raw))
        with pytest.raises(PeerRefusedError, match="party a gave up: party c did not come"):
            link.receive_json()
        link.close()
        message = r"^party c did not come within 0\.5 seconds; turned away: 127\.0\.0\.1: .* TLS \(HTTP_REQUEST\)$"
        with pytest.raises(PeerTimeoutError, match=message):
            host.links.result(PATIENCE_SECONDS)


def test_who_came_and_left_is_named(people: People, caplog: pytest.LogCaptureFixture) -> None:
    """A process that gives up while others are awaited is told apart from one that never came."""
    expected = {"party b": people.b.certificate, "party c": people.stranger.certificate}
    with waiting(people, expected, join_seconds=0.8) as host:
        link = host.connect(people)
        link.refuse("enough")
        link.close()
        until(lambda: "party b left before all had come: party b gave up: enough" in caplog.text)
        message = r"party b and party c did not come within 0\.8 seconds; party b came before, but left: .*: enough$"
        with pytest.raises(PeerTimeoutError, match=message):
            host.links.result(PATIENCE_SECONDS)


def test_a_process_that_is_started_again_takes_its_old_place(people: People) -> None:
    """While others are awaited, party b may die and come back."""
    expected = {"party b": people.b.certificate, "party c": people.stranger.certificate}
    with waiting(people, expected) as host:
        first = host.connect(people)
        first.close()
        again = host.connect(people)
        third = connect(
            host.address,
            people.stranger,
            "party a",
            people.a.certificate,
            join_seconds=PATIENCE_SECONDS,
            deadline_seconds=DEADLINE_SECONDS,
        )
        again.send_json("again")
        assert host.links.result(PATIENCE_SECONDS)["party b"].receive_json()[0] == "again"
        for link in (again, third):
            link.refuse("done")
            link.close()


def test_a_second_connection_does_not_replace_a_live_one(people: People, caplog: pytest.LogCaptureFixture) -> None:
    """Party b started twice by mistake: the first one stays, the second one is turned away."""
    expected = {"party b": people.b.certificate, "party c": people.stranger.certificate}
    with waiting(people, expected, join_seconds=0.5) as host:
        first, second = host.connect(people), host.connect(people)
        with pytest.raises(PeerDisconnectedError):
            second.receive_json()
        first.check()
        assert "turned away a second connection of party b" in caplog.text
        with pytest.raises(PeerTimeoutError, match="party c did not come"):
            host.links.result(PATIENCE_SECONDS)
        for link in (first, second):
            link.close()


def test_a_pinned_authority_admits_itself_only(people: People, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pinning means this very certificate, also where it could sign others."""
    folder = tmp_path_factory.mktemp("authority")
    authority = certify("authority", folder, is_authority=True)
    issued = certify("issued", folder, issuer=authority)
    with waiting(people, {"party b": authority.certificate}, join_seconds=0.5) as host:
        with host.raw() as raw, _speak_tls(raw, issued, ssl.TLSVersion.TLSv1_3) as connection:
            assert _is_hung_up(connection)
        with pytest.raises(PeerTimeoutError, match=r"turned away: .* a certificate that is not pinned"):
            host.links.result(PATIENCE_SECONDS)


def test_an_expired_pinned_certificate_stops_the_wait_at_once(people: People) -> None:
    """Whoever waits for a certificate that can no longer be shown is told before waiting."""
    message = "of expired expired on"
    with (
        waiting(people, {"party b": people.expired.certificate}) as host,
        pytest.raises(CredentialError, match=message),
    ):
        host.links.result(1.0)


def test_hosts_are_not_logged_beyond_their_address(people: People, caplog: pytest.LogCaptureFixture) -> None:
    """What a stranger sends does not reach the log."""
    caplog.set_level(logging.DEBUG)
    with waiting(people) as host:
        with host.raw() as raw:
            raw.sendall(b"GET /forged-line\n HTTP/1.1\r\n\r\n")
            assert _is_hung_up(raw)
        meet_honestly(people, host)
    assert "forged" not in caplog.text
