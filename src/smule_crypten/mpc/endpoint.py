"""Meeting another process: TLS 1.3 on TCP, both sides authenticated by pinned certificates.

One side listens on one port, the other connects; who does which is fixed by role. Whoever else connects to the port
(without a certificate, with a wrong one, without TLS, or to keep the port busy) is turned away and named in the log,
and the wait for the right process goes on.
"""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from smule_crypten.errors import ConfigError, CredentialError, PeerTimeoutError
from smule_crypten.mpc.credentials import Certificate, Identity
from smule_crypten.mpc.link import Link

log = logging.getLogger(__name__)

_TLS_SECONDS = 10.0
"""How long a stranger may take over its TLS handshake before it is dropped."""
_RETRY_SECONDS = 0.2


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
    except OSError as error:
        raise ConfigError(f"cannot listen on {address}: {error.strerror or error}; set another address") from None


def accept_all(
    listener: socket.socket,
    identity: Identity,
    expected: Mapping[str, Certificate],
    *,
    join_seconds: float,
    deadline_seconds: float,
) -> dict[str, Link]:
    """Wait until every expected process has connected, each once.

    Args:
        expected: name for messages ("party b") -> pinned certificate.
        join_seconds: longest wait for all of them.
        deadline_seconds: of the links.

    Raises:
        CredentialError: an expected certificate has expired.
        PeerTimeoutError: names who did not come, and who came in their place.
    """
    for certificate in (identity.certificate, *expected.values()):
        certificate.check_dates()
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, list(expected.values()))
    arrivals: queue.SimpleQueue[tuple[str, ssl.SSLSocket]] = queue.SimpleQueue()
    refused: list[str] = []
    stop = threading.Event()

    def receive() -> None:
        listener.settimeout(_RETRY_SECONDS)
        while not stop.is_set():
            try:
                connection, remote = listener.accept()
            except OSError:
                continue
            admit = threading.Thread(target=_admit, args=(connection, remote, context, expected, arrivals, refused))
            admit.daemon = True
            admit.start()

    receiver = threading.Thread(target=receive, name="accept", daemon=True)
    receiver.start()
    try:
        return _collect(arrivals, refused, list(expected), join_seconds, deadline_seconds)
    finally:
        stop.set()
        receiver.join()


def connect(
    address: Address,
    identity: Identity,
    name: str,
    certificate: Certificate,
    *,
    join_seconds: float,
    deadline_seconds: float,
) -> Link:
    """Connect to the process that owns certificate; tries again until it is there.

    Raises:
        CredentialError: its certificate or ours has expired, or it shows another one, or it does not accept ours.
        PeerTimeoutError: nobody is listening at address.
    """
    for pinned in (identity.certificate, certificate):
        pinned.check_dates()
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity, [certificate])
    patience = time.monotonic() + join_seconds
    reason = "nobody answers"
    while time.monotonic() < patience:
        try:
            raw = socket.create_connection((address.host, address.port), timeout=_TLS_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(_RETRY_SECONDS)
            continue
        try:
            return Link(_authenticate(raw, context, address, name, certificate), name, deadline_seconds)
        except TimeoutError:
            raw.close()
            reason = "it accepts connections but does not answer"
    raise PeerTimeoutError(f"{name} did not answer at {address} within {join_seconds:g} seconds ({reason})")


def _authenticate(
    raw: socket.socket, context: ssl.SSLContext, address: Address, name: str, certificate: Certificate
) -> ssl.SSLSocket:
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        connection = context.wrap_socket(raw, server_hostname=None)
        # In TLS 1.3 the server judges our certificate after our handshake is over; it then confirms with one byte.
        confirmed = connection.recv(1)
    except ssl.SSLCertVerificationError as error:
        raw.close()
        raise CredentialError(
            f"{name} at {address} shows a certificate that is not {certificate.path} ({error.verify_message}); "
            "compare fingerprints with its owner"
        ) from None
    except TimeoutError:
        raise
    except OSError as error:
        raw.close()
        reason = getattr(error, "reason", None) or error
        raise CredentialError(
            f"{name} at {address} did not complete the TLS handshake ({reason}); it may not have our certificate pinned"
        ) from None
    if confirmed != _WELCOME:
        connection.close()
        raise CredentialError(f"{name} at {address} turned us away; it may not have our certificate pinned")
    if connection.getpeercert(binary_form=True) != certificate.der:
        connection.close()
        raise CredentialError(f"{name} at {address} shows a certificate that is not {certificate.path}")
    return connection


_WELCOME = b"+"


def _admit(
    connection: socket.socket,
    remote: tuple[object, ...],
    context: ssl.SSLContext,
    expected: Mapping[str, Certificate],
    arrivals: queue.SimpleQueue[tuple[str, ssl.SSLSocket]],
    refused: list[str],
) -> None:
    """Hand over one connection if its certificate is one of the pinned ones."""
    try:
        connection.settimeout(_TLS_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = context.wrap_socket(connection, server_side=True)
        shown = secure.getpeercert(binary_form=True)
        name = next((name for name, pinned in expected.items() if pinned.der == shown), None)
        if name is None:
            raise ssl.SSLError("a certificate that is not pinned")
        secure.sendall(_WELCOME)
    except (OSError, ValueError) as error:
        reason = f"{remote[0]}: {getattr(error, 'verify_message', None) or getattr(error, 'reason', None) or error}"
        refused.append(reason)
        log.warning("turned away a connection from %s", reason)
        connection.close()
        return
    arrivals.put((name, secure))


def _collect(
    arrivals: queue.SimpleQueue[tuple[str, ssl.SSLSocket]],
    refused: list[str],
    expected: list[str],
    join_seconds: float,
    deadline_seconds: float,
) -> dict[str, Link]:
    links: dict[str, Link] = {}
    patience = time.monotonic() + join_seconds
    while len(links) < len(expected):
        try:
            name, connection = arrivals.get(timeout=max(0.0, patience - time.monotonic()))
        except queue.Empty:
            for link in links.values():
                link.close()
            missing = " and ".join(name for name in expected if name not in links)
            others = f"; turned away: {'; '.join(refused[-3:])}" if refused else ""
            raise PeerTimeoutError(f"{missing} did not come within {join_seconds:g} seconds{others}") from None
        if name in links:
            log.warning("turned away a second connection of %s", name)
            connection.close()
        else:
            links[name] = Link(connection, name, deadline_seconds)
    return links


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
