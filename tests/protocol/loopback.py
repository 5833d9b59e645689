"""Links, raw TLS peers and certificates on loopback. A module of its own, so that spawned processes can import it."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smule_crypten.errors import SmuleError
from smule_crypten.fork_server import process_context, start
from smule_crypten.transport.credentials import Certificate, Identity, create_identity, load_certificate, load_identity
from smule_crypten.transport.endpoint import Address, accept_all, connect, listen
from smule_crypten.transport.link import Link

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 10.0
"""For what must happen soon; a test that waits this long has failed."""
LATE_SECONDS = 1.5
"""How much later than promised something may be noticed on a busy machine."""
DEADLINE_SECONDS = 2.0
"""Of links whose deadline is not the subject; an end is noticed within a sixth of it."""


class People:
    """Who appears in these tests: party a and party b know each other; nobody knows the stranger."""

    def __init__(self, folder: Path) -> None:
        self.a = create_identity("a", folder)
        self.b = create_identity("b", folder)
        self.stranger = create_identity("stranger", folder)
        self.expired = certify("expired", folder, days=(-20, -10))
        self.issued_by_b = certify("issued", folder, issuer=self.b)


def certify(
    name: str,
    folder: Path,
    *,
    days: tuple[int, int] = (-1, 1),
    issuer: Identity | None = None,
    is_authority: bool = False,
) -> Identity:
    """A key and its certificate, valid between two days from now, self-signed or signed by issuer's key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing_key, signer = key, subject
    if issuer is not None:
        loaded = serialization.load_pem_private_key(issuer.key_path.read_bytes(), password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signing_key, signer = loaded, x509.load_der_x509_certificate(issuer.certificate.der).subject
    start, stop = (dt.datetime.now(dt.UTC) + dt.timedelta(days=day) for day in days)
    builder = x509.CertificateBuilder(signer, subject, key.public_key(), x509.random_serial_number(), start, stop)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    certificate_path, key_path = folder / f"{name}.crt.pem", folder / f"{name}.key.pem"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    certificate_path.write_bytes(builder.sign(signing_key, hashes.SHA256()).public_bytes(pem))
    key_path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return Identity(load_certificate(certificate_path), key_path)


def client_context(identity: Identity | None) -> ssl.SSLContext:
    """TLS of somebody who trusts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.certificate.path, identity.key_path)
    return context


def server_context(identity: Identity) -> ssl.SSLContext:
    """TLS of somebody who admits every client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate.path, identity.key_path)
    return context


@contextmanager
def tls_pair(
    people: People, *, buffer_bytes: tuple[int, int] | None = None
) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Both ends of one TLS connection; buffer_bytes sets how much the socket at either end holds."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        near = socket.create_connection(listener.getsockname(), PATIENCE_SECONDS)
        far, _ = listener.accept()
    far.settimeout(PATIENCE_SECONDS)
    if buffer_bytes is not None:
        for end, num_bytes in zip((near, far), buffer_bytes, strict=True):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, num_bytes)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, num_bytes)
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(server_context(people.a).wrap_socket, near, server_side=True)
        client = client_context(people.b).wrap_socket(far)
        with server.result(PATIENCE_SECONDS) as near_tls, client:
            yield near_tls, client


@contextmanager
def link_pair(
    people: People, deadline_seconds: float = DEADLINE_SECONDS, *, buffer_bytes: tuple[int, int] | None = None
) -> Iterator[tuple[Link, Link]]:
    """A link at party a and its other end at party b, closed in the end."""
    with tls_pair(people, buffer_bytes=buffer_bytes) as (near, far):
        links = Link(near, "party b", deadline_seconds), Link(far, "party a", deadline_seconds)
        try:
            yield links
        finally:
            together(*(link.close for link in links))


@contextmanager
def link_to_raw(
    people: People, deadline_seconds: float = DEADLINE_SECONDS, *, peer: str = "party b"
) -> Iterator[tuple[Link, ssl.SSLSocket]]:
    """A link at party a, and in the peer's hands nothing but the TLS socket."""
    with tls_pair(people) as (near, far):
        link = Link(near, peer, deadline_seconds)
        try:
            yield link, far
        finally:
            far.close()
            link.close()


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Call all at the same time; their results, or the first one's error."""
    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(function) for function in functions]
        return [future.result(3 * PATIENCE_SECONDS) for future in futures]


def swap(first: Link, second: Link, payload: bytes = b"12345678") -> None:
    """One crossing message each way, checked."""
    received = [bytearray(len(payload)), bytearray(len(payload))]
    together(
        lambda: first.transfer([memoryview(payload)], [memoryview(received[0])]),
        lambda: second.transfer([memoryview(payload)], [memoryview(received[1])]),
    )
    assert received == [payload, payload]


def let_time_pass(seconds: float) -> None:
    """Only where the passing of time itself is the subject."""
    threading.Event().wait(seconds)


def fails_in_the_background(link: Link) -> SmuleError:
    """What the heartbeat thread finds wrong, as a side that computes and only calls check would learn it."""
    clock = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.02)):
        try:
            link.check()
        except SmuleError as error:
            return error
        clock.wait(0.02)
    raise AssertionError("nothing went wrong")


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    clock = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if condition():
            return
        clock.wait(0.01)
    raise AssertionError("it did not happen")


def open_tls_threads() -> list[str]:
    """Threads that belong to links or to handshakes."""
    prefixes = ("heartbeat", "handshake", "reception")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefixes)]


@dataclass
class Waiting:
    """Party a, waiting at address for party b."""

    address: Address
    links: Future[dict[str, Link]]

    def raw(self, source: str = LOOPBACK) -> socket.socket:
        """A TCP connection of a visitor whose address is source."""
        return socket.create_connection((self.address.host, self.address.port), PATIENCE_SECONDS, (source, 0))

    def connect(self, people: People) -> Link:
        return connect(
            self.address,
            people.b,
            "party a",
            people.a.certificate,
            join_seconds=PATIENCE_SECONDS,
            deadline_seconds=DEADLINE_SECONDS,
        )


@contextmanager
def waiting(
    people: People, expected: dict[str, Certificate] | None = None, *, join_seconds: float = PATIENCE_SECONDS
) -> Iterator[Waiting]:
    """Party a waits for party b, or for those expected; afterwards all its links are closed."""
    awaited = {"party b": people.b.certificate} if expected is None else expected
    with listen(Address(LOOPBACK, 0)) as listener, ThreadPoolExecutor(1) as pool:
        links = pool.submit(
            accept_all, listener, people.a, awaited, join_seconds=join_seconds, deadline_seconds=DEADLINE_SECONDS
        )
        try:
            yield Waiting(Address(LOOPBACK, listener.getsockname()[1]), links)
        finally:
            if links.exception(PATIENCE_SECONDS) is None:
                for link in links.result().values():
                    link.close()


def meet_honestly(people: People, host: Waiting) -> None:
    """Party b comes, and both can talk."""
    with_a = host.connect(people)
    with_b = host.links.result(PATIENCE_SECONDS)["party b"]
    with_a.send_json("from b")
    assert with_b.receive_json()[0] == "from b"
    together(with_a.close, with_b.close)


# -- a peer in a process of its own, where signals matter ------------------------------------------------------------


def _echo(report: Connection, folder: str, port: int, deadline_seconds: float) -> None:
    """Party b: answer every JSON message with itself until something ends that, then report how it ended."""
    own = load_identity(Path(folder) / "b.crt.pem", Path(folder) / "b.key.pem")
    theirs = load_certificate(Path(folder) / "a.crt.pem")
    address = Address(LOOPBACK, port)
    link = connect(address, own, "party a", theirs, join_seconds=PATIENCE_SECONDS, deadline_seconds=deadline_seconds)
    try:
        while True:
            link.send_json(link.receive_json()[0])
    except SmuleError as error:
        report.send(f"{type(error).__name__}: {error}")
    link.close()


@contextmanager
def echoing_process(
    people: People, deadline_seconds: float, *, own_deadline_seconds: float
) -> Iterator[tuple[Link, BaseProcess, Connection]]:
    """Our link to a process that echoes, the process, and where it reports how its link ended.

    Args:
        deadline_seconds: that of the other process.
        own_deadline_seconds: that of the link here.
    """
    context = process_context()
    reports, theirs = context.Pipe(duplex=False)
    with listen(Address(LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        arguments = (theirs, str(people.a.key_path.parent), port, deadline_seconds)
        process = context.Process(target=_echo, args=arguments, daemon=True)
        start(process)
        expected = {"party b": people.b.certificate}
        links = accept_all(
            listener,
            people.a,
            expected,
            join_seconds=3 * PATIENCE_SECONDS,
            deadline_seconds=own_deadline_seconds,
        )
        link = links["party b"]
    try:
        yield link, process, reports
    finally:
        process.kill()
        process.join()
        link.close()
        reports.close()
        theirs.close()
