"""Who may come in, who is turned away, and what an authenticated peer cannot get away with."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import (
    DEADLINE_SECONDS,
    LOOPBACK,
    PATIENCE_SECONDS,
    People,
    certify,
    client_context,
    link_to_raw,
    meet_honestly,
    open_tls_threads,
    server_context,
    until,
    waiting,
)

from smule_crypten.errors import (
    ConfigError,
    CredentialError,
    PeerDisconnectedError,
    PeerRefusedError,
    PeerTimeoutError,
    ProtocolError,
    SmuleError,
)
from smule_crypten.mpc import reception
from smule_crypten.mpc.credentials import Certificate, Identity
from smule_crypten.mpc.endpoint import Address, connect, listen
from smule_crypten.mpc.frames import MAX_JSON_BYTES, MAX_PAYLOAD_BYTES, FrameWriter, Kind
from smule_crypten.mpc.link import Link
from smule_crypten.mpc.reception import WELCOME


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("people"))


# -- strangers at the listening port -------------------------------------------------------------------------------

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


def test_strangers_that_stall_keep_nobody_out(
    people: People, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More stalled connections than may shake hands at a time delay party b by nothing, and all end with the wait."""
    monkeypatch.setattr(reception, "_MAX_HANDSHAKES", 4)
    with waiting(people) as host:
        strangers = [host.raw() for _ in range(10)]
        until(lambda: len(caplog.records) == 6)
        started = time.monotonic()
        meet_honestly(people, host)
        assert time.monotonic() - started < 2.0
        assert all(_is_hung_up(stranger) for stranger in strangers)
        assert time.monotonic() - started < 2.0
        for stranger in strangers:
            stranger.close()
    assert open_tls_threads() == []


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
        message = r"^party c did not come within 0\.5 seconds; turned away: 127\.0\.0\.1: HTTP_REQUEST$"
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
    """Pinning means this very certificate, in both directions, also where it could sign others."""
    folder = tmp_path_factory.mktemp("authority")
    authority = certify("authority", folder, is_authority=True)
    issued = certify("issued", folder, issuer=authority)
    with waiting(people, {"party b": authority.certificate}, join_seconds=0.5) as host:
        with host.raw() as raw, _speak_tls(raw, issued, ssl.TLSVersion.TLSv1_3) as connection:
            assert _is_hung_up(connection)
        with pytest.raises(PeerTimeoutError, match=r"turned away: .* a certificate that is not pinned"):
            host.links.result(PATIENCE_SECONDS)
    error = _fails_against(people, lambda raw: _serve_tls(issued, raw, WELCOME), pinned=authority.certificate)
    assert isinstance(error, CredentialError)
    assert "shows a certificate that is not" in str(error)


def test_an_expired_pinned_certificate_stops_the_wait_at_once(people: People) -> None:
    """Whoever waits for a certificate that can no longer be shown is told before waiting."""
    message = "of expired expired on"
    with (
        waiting(people, {"party b": people.expired.certificate}) as host,
        pytest.raises(CredentialError, match=message),
    ):
        host.links.result(1.0)


# -- strangers at the address that a process connects to -----------------------------------------------------------


def _connect_as_b(
    people: People, port: int, *, pinned: Certificate | None = None, join_seconds: float = PATIENCE_SECONDS
) -> Link:
    times = {"join_seconds": join_seconds, "deadline_seconds": DEADLINE_SECONDS}
    return connect(Address(LOOPBACK, port), people.b, "party a", pinned or people.a.certificate, **times)


def _fails_against(
    people: People, serve: Callable[[socket.socket], object], *, pinned: Certificate | None = None
) -> SmuleError:
    """The error of party b where the first connection is served so, and there is no second one."""
    with socket.create_server((LOOPBACK, 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve_once() -> None:
            raw, _ = server.accept()
            server.close()
            with raw:
                serve(raw)

        served = pool.submit(serve_once)
        with pytest.raises(SmuleError) as caught:
            _connect_as_b(people, server.getsockname()[1], pinned=pinned, join_seconds=0.5)
        served.result(PATIENCE_SECONDS)
    return caught.value


def _serve_tls(identity: Identity, raw: socket.socket, greeting: bytes) -> None:
    try:
        with server_context(identity).wrap_socket(raw, server_side=True) as connection:
            connection.sendall(greeting)
            connection.recv(1)
    except OSError:
        pass  # the client left first


@pytest.mark.parametrize("who", ["stranger", "expired"])
def test_a_server_with_a_wrong_certificate_is_a_credential_error(people: People, who: str) -> None:
    """Never talk to whoever answers at the right address with another certificate, and say how to find out."""
    error = _fails_against(people, lambda raw: _serve_tls(getattr(people, who), raw, WELCOME))
    assert isinstance(error, CredentialError)
    assert f"shows a certificate that is not {people.a.certificate.path}" in str(error)
    assert "compare fingerprints with its owner" in str(error)


def test_a_server_without_tls_is_a_credential_error(people: People) -> None:
    """A web server at the configured address is named as such, at once."""
    error = _fails_against(people, lambda raw: raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert isinstance(error, CredentialError)
    assert "party a at 127.0.0.1" in str(error)
    assert "did not complete the TLS handshake" in str(error)


def test_a_server_that_greets_otherwise_is_a_protocol_error(people: People) -> None:
    """The right certificate, but another program or version behind it."""
    error = _fails_against(people, lambda raw: _serve_tls(people.a, raw, b"?"))
    assert isinstance(error, ProtocolError)


def test_a_server_that_hangs_up_is_tried_again(people: People) -> None:
    """A forwarder that accepts while party a is not there yet must not end the run; party a may come later."""
    error = _fails_against(people, lambda raw: None)
    assert isinstance(error, PeerTimeoutError)
    assert "party a did not answer at 127.0.0.1" in str(error)


def test_a_party_that_comes_late_is_waited_for(people: People) -> None:
    """Who is started first does not matter."""
    with socket.create_server((LOOPBACK, 0)) as placeholder:
        port = placeholder.getsockname()[1]
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(_connect_as_b, people, port)
        until(lambda: early.running())
        with listen(Address(LOOPBACK, port)) as listener, listener.accept()[0] as raw:
            connection = server_context(people.a).wrap_socket(raw, server_side=True)
            connection.sendall(WELCOME)
            link = early.result(PATIENCE_SECONDS)
            connection.close()
            link.close()


def test_a_certificate_that_is_not_pinned_is_told_so(people: People) -> None:
    """The connecting side learns that its own certificate is the problem."""
    with waiting(people, {"party b": people.stranger.certificate}, join_seconds=0.5) as host:
        with pytest.raises(CredentialError, match=r"UNKNOWN_CA.*it may not have our certificate pinned"):
            host.connect(people)
        with pytest.raises(PeerTimeoutError, match=r"turned away: 127\.0\.0\.1: self.signed certificate"):
            host.links.result(PATIENCE_SECONDS)


@pytest.mark.parametrize("days", [(-20, -10), (10, 20)])
def test_an_own_certificate_out_of_date_is_found_before_connecting(
    people: People, days: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No connection is attempted with a certificate that every peer would refuse."""
    own = certify("own", tmp_path_factory.mktemp("own"), days=days)
    with pytest.raises(CredentialError, match=r"of own (expired on|is valid only from)"):
        connect(
            Address(LOOPBACK, 1),
            own,
            "party a",
            people.a.certificate,
            join_seconds=60,
            deadline_seconds=DEADLINE_SECONDS,
        )


@pytest.mark.parametrize("text", ["", "host", ":7701", "host:", "host:0", "host:65536", "host:-1", "host:x"])
def test_an_unusable_address_names_its_key(text: str) -> None:
    """A typing error in an address is found before anything else."""
    with pytest.raises(ConfigError, match=r"peer\.address: .* is not host:port"):
        Address.parse(text, "peer.address")


def test_addresses_are_read_as_written() -> None:
    """Names, IPv4 and bracketed IPv6."""
    assert Address.parse("hospital-a.example:7701", "x") == Address("hospital-a.example", 7701)
    assert Address.parse("[::1]:7701", "x") == Address("::1", 7701)


def test_an_address_in_use_is_one_clear_line() -> None:
    """Two processes cannot listen at one address; the second says which."""
    with listen(Address(LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .*; set another address"):
            listen(Address(LOOPBACK, port))


# -- an authenticated peer that misbehaves -------------------------------------------------------------------------


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
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="where a tensor of 16 bytes was due"):
                _want_tensors(link)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


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


def test_hosts_are_not_logged_beyond_their_address(people: People, caplog: pytest.LogCaptureFixture) -> None:
    """What a stranger sends does not reach the log."""
    caplog.set_level(logging.DEBUG)
    with waiting(people) as host:
        with host.raw() as raw:
            raw.sendall(b"GET /forged-line\n HTTP/1.1\r\n\r\n")
            assert _is_hung_up(raw)
        meet_honestly(people, host)
    assert "forged" not in caplog.text
