"""Whom a connecting process trusts, and for whom it waits."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import (
    DEADLINE_SECONDS,
    LOOPBACK,
    PATIENCE_SECONDS,
    People,
    certify,
    server_context,
    until,
    waiting,
)

from smule_crypten.errors import ConfigError, CredentialError, PeerTimeoutError, ProtocolError, SmuleError
from smule_crypten.transport.credentials import Certificate, Identity
from smule_crypten.transport.endpoint import Address, connect, listen
from smule_crypten.transport.link import Link
from smule_crypten.transport.reception import WELCOME


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


def test_a_pinned_authority_vouches_for_itself_only(people: People, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pinning means this very certificate, also where it could sign others."""
    folder = tmp_path_factory.mktemp("authority")
    authority = certify("authority", folder, is_authority=True)
    issued = certify("issued", folder, issuer=authority)
    error = _fails_against(people, lambda raw: _serve_tls(issued, raw, WELCOME), pinned=authority.certificate)
    assert isinstance(error, CredentialError)
    assert "shows a certificate that is not" in str(error)


def test_a_server_without_tls_is_a_protocol_error(people: People) -> None:
    """A web server at the configured address is named as such, at once."""
    error = _fails_against(people, lambda raw: raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert isinstance(error, ProtocolError)
    assert "party a at 127.0.0.1" in str(error)
    assert "answers without TLS" in str(error)


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
        with pytest.raises(CredentialError, match=r"UNKNOWN_CA.*it must have .* pinned, whose SHA-256"):
            host.connect(people)
        with pytest.raises(PeerTimeoutError, match=r"turned away: 127\.0\.0\.1: .* \(self.signed certificate\)"):
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
