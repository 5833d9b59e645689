"""Meeting another process: TLS 1.3 on TCP, both sides authenticated by pinned certificates.

One side listens on one port, the other connects; who does which is fixed by role. Whoever else connects to the port
(without a certificate, with a wrong one, without TLS, or to keep the port busy) is turned away and named in the log,
and the wait for the right process goes on (transport/reception.py).
"""

from __future__ import annotations

import logging
import math
import queue
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from smule_crypten.errors import ConfigError, PeerTimeoutError, ProtocolError, SmuleError
from smule_crypten.transport.credentials import Certificate, Identity
from smule_crypten.transport.ending import give_up
from smule_crypten.transport.faults import Visitor, handshake_error, not_pinned, shown_at
from smule_crypten.transport.link import Link
from smule_crypten.transport.reception import CLOCK, OTHERWISE_ENGAGED, WELCOME, Purpose, Reception

log = logging.getLogger(__name__)

_TLS_SECONDS = 10.0
"""How long one attempt to connect may take before the next one."""
_RETRY_SECONDS = 0.2
_LOOK_SECONDS = 0.2
"""Between two looks at the watched links."""


class OtherwiseEngaged(ConnectionError):
    """The other process accepts our certificate, but is there for another purpose than we came for.

    clock_difference_seconds: how far its clock is ahead of ours.
    """

    def __init__(self, clock_difference_seconds: float) -> None:
        super().__init__("it knows us, but is there for another purpose")
        self.clock_difference_seconds = clock_difference_seconds


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, key: str) -> Address:
        """From host:port.

        Raises:
            ConfigError: names key.
        """
        host, separator, port = text.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(f"{key}: {text!r} is not host:port, for example hospital-a.example:7701")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def listen(address: Address) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the address cannot be used on this machine.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {address}: {_reason(error)}; set another address") from None


def accept_all(
    listener: socket.socket,
    identity: Identity,
    expected: Mapping[str, Certificate],
    *,
    join_seconds: float,
    deadline_seconds: float,
    purpose: Purpose = "smule-run",
    watched: Collection[Link] = (),
    on_turned_away: Callable[[Visitor], None] = lambda visitor: None,
) -> dict[str, Link]:
    """Wait until every expected process has connected, each once and for the same purpose.

    Args:
        expected: name for messages ("party b") -> pinned certificate.
        join_seconds: longest wait for all of them.
        deadline_seconds: of the links.
        watched: links to others who are there already; the wait ends when one of them fails.
        on_turned_away: hears of everybody who was, in another thread.

    Raises:
        CredentialError: an expected certificate has expired.
        PeerTimeoutError: names who did not come, and who came in their place.
        SmuleError: what is wrong with a watched link.
    """
    for certificate in (identity.certificate, *expected.values()):
        certificate.check_dates()
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, list(expected.values()))
    context.set_alpn_protocols(get_args(Purpose))
    context.num_tickets = 0  # every connection is authenticated afresh
    links: dict[str, Link] = {}
    left: dict[str, str] = {}
    patience = time.monotonic() + join_seconds
    with Reception(listener, context, expected, purpose, on_turned_away) as reception:
        try:
            while missing := [name for name in expected if name not in links or links[name].is_over]:
                left |= _see_out(links)
                for link in watched:
                    link.check()
                seconds = patience - time.monotonic()
                if seconds <= 0:
                    text = f"{' and '.join(missing)} did not come within {join_seconds:g} seconds"
                    text += "".join(f"; {name} came before, but left: {left[name]}" for name in missing if name in left)
                    others = (
                        f"; turned away: {'; '.join(map(str, reception.turned_away))}" if reception.turned_away else ""
                    )
                    raise PeerTimeoutError(text + others)
                with suppress(queue.Empty):
                    name, connection = reception.arrivals.get(timeout=min(seconds, _LOOK_SECONDS))
                    _seat(links, name, connection, deadline_seconds)
        except BaseException as error:
            give_up(links.values(), error)
            raise
    return links


def _see_out(links: dict[str, Link]) -> dict[str, str]:
    """Take out the links to those who left while others were awaited; why they did, as they said or as it looks."""
    left = {}
    for name in [name for name, link in links.items() if link.is_over]:
        link = links.pop(name)
        try:
            link.check()
            left[name] = "it ended the connection"
        except SmuleError as error:
            left[name] = str(error)
        link.close()
        log.warning("%s left before all had come: %s", name, left[name])
    return left


def _seat(links: dict[str, Link], name: str, connection: ssl.SSLSocket, deadline_seconds: float) -> None:
    """A process that died and was started again while others were awaited takes its old place."""
    if name in links and not links[name].is_over:
        log.warning("turned away a second connection of %s", name)
        connection.close()
        return
    if name in links:
        links[name].close()
    links[name] = Link(connection, name, deadline_seconds)


def connect(
    address: Address,
    identity: Identity,
    name: str,
    certificate: Certificate,
    *,
    join_seconds: float,
    deadline_seconds: float,
    purpose: Purpose = "smule-run",
    watched: Collection[Link] = (),
    known: Mapping[str, Certificate] | None = None,
) -> Link:
    """Connect to the process that owns certificate; tries again until it is there.

    Args:
        watched: links to others who are there already; the attempts end when one of them fails.
        known: certificates of others, by role, to tell who is there in place of name.

    Raises:
        OtherwiseEngaged: smule-doctor only: it is there and both certificates are right, but it does something else.
        CredentialError: its certificate or ours has expired, or it shows another one, or it does not accept ours.
        PeerTimeoutError: nobody is listening at address, or who is there hangs up or does not answer.
        ProtocolError: it has the right certificate but does not speak this protocol.
        SmuleError: what is wrong with a watched link.
    """
    for pinned in (identity.certificate, certificate):
        pinned.check_dates()
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity, [certificate])
    context.set_alpn_protocols([purpose])
    others = {**(known or {}), "this process itself": identity.certificate}
    patience = time.monotonic() + join_seconds
    reason = "nobody answers"
    while True:
        for link in watched:
            link.check()
        left = patience - time.monotonic()
        if left <= 0:
            raise PeerTimeoutError(f"{name} did not answer at {address} within {join_seconds:g} seconds ({reason})")
        try:
            connection = _attempt(address, context, f"{name} at {address}", certificate, min(_TLS_SECONDS, left))
            return Link(connection, name, deadline_seconds)
        except ssl.SSLCertVerificationError as error:
            shown = shown_at(address.host, address.port, min(_TLS_SECONDS, left))
            raise not_pinned(f"{name} at {address}", certificate, shown, others, error.verify_message) from None
        except ssl.SSLEOFError:
            reason = "it hangs up during the TLS handshake"
            time.sleep(_RETRY_SECONDS)
        except ssl.SSLError as error:
            raise handshake_error(error, f"{name} at {address}", identity) from None
        except (OSError, UnicodeError) as error:
            if isinstance(error, OtherwiseEngaged) and purpose == "smule-doctor":
                raise
            reason = _reason(error)
            time.sleep(_RETRY_SECONDS)


def _attempt(
    address: Address, context: ssl.SSLContext, who: str, certificate: Certificate, seconds: float
) -> ssl.SSLSocket:
    """One attempt to connect. An OSError means that a later one may succeed."""
    raw = socket.create_connection((address.host, address.port), timeout=seconds)
    connection = context.wrap_socket(raw, do_handshake_on_connect=False)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _authenticate(connection, who, certificate)
    except BaseException:
        connection.close()
        raise
    return connection


def _authenticate(connection: ssl.SSLSocket, who: str, certificate: Certificate) -> None:
    connection.do_handshake()
    # In TLS 1.3 the server judges our certificate after our handshake is over; it then confirms with one byte.
    confirmed = connection.recv(1)
    if (shown := connection.getpeercert(binary_form=True)) != certificate.der:
        raise not_pinned(who, certificate, shown, {})
    if not confirmed:
        raise ConnectionResetError("it hangs up after the TLS handshake; it may not have our certificate pinned")
    if confirmed == OTHERWISE_ENGAGED:
        raise OtherwiseEngaged(_read_clock(connection, who) - time.time())
    if confirmed != WELCOME:
        raise _foreign(who)


def _read_clock(connection: ssl.SSLSocket, who: str) -> float:
    data = b""
    while len(data) < CLOCK.size:
        received = connection.recv(CLOCK.size - len(data))
        if not received:
            raise _foreign(who)
        data += received
    clock: float = CLOCK.unpack(data)[0]
    if not math.isfinite(clock):
        raise _foreign(who)
    return clock


def _foreign(who: str) -> ProtocolError:
    return ProtocolError(f"{who} does not speak this protocol; use the same version")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return getattr(error, "strerror", None) or str(error)


def _context(purpose: int, identity: Identity, pinned: list[Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is pinned, names prove nothing more
    context.verify_mode = ssl.CERT_REQUIRED
    # Pinned leaf certificates are trust anchors themselves.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(identity.certificate.path, identity.key_path)
    for certificate in pinned:
        context.load_verify_locations(cadata=certificate.der)
    return context
