"""Admission at a listening port: TLS handshakes of whoever comes, each in its own thread and within bounds."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import queue
import random
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from smule_crypten.transport.credentials import Certificate
from smule_crypten.transport.faults import NOT_PINNED, Visitor, visitor
from smule_crypten.transport.visitor_log import VisitorLog

log = logging.getLogger(__name__)

Purpose = Literal["smule-run", "smule-doctor"]
"""What a process connects or listens for; travels as the protocol name of TLS (ALPN)."""

WELCOME = b"+"
"""What an admitted process gets to read first."""
OTHERWISE_ENGAGED = b"="
"""What it gets instead where its certificate is right but it came for another purpose; the clock of this process
follows, as in CLOCK, and the connection ends."""
CLOCK = struct.Struct("<d")
"""Seconds since 1970."""
_TLS_SECONDS = 10.0
"""How long a stranger may take over its TLS handshake before it is dropped."""
_MAX_HANDSHAKES = 64
"""At the same time. When one more comes, one of the network with the most of them is dropped, so that strangers keep
out nobody but those that share their address. Which one is drawn: if it were the oldest, a stranger behind the same
address could be sure to push out whoever needs longer than it takes to connect 64 times; now an honest process has a
chance in each attempt, and it tries again until it is in."""
_IPV6_NETWORK_BITS = 64
"""What one customer of a provider has at least, so that addresses within it say nothing."""
_RETRY_SECONDS = 0.2
"""After this machine could not accept a connection."""


@dataclass(frozen=True)
class _Handshake:
    """network: where the visitor comes from."""

    thread: threading.Thread
    network: str


class Reception:
    """Admits who shows a pinned certificate, turns away and logs everybody else. A context manager.

    arrivals gets the name and the connection of each admitted process; turned_away holds the latest reasons. A process
    that came for another purpose learns that it is known, and leaves no trace: a check never disturbs a run.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        expected: Mapping[str, Certificate],
        purpose: Purpose = "smule-run",
        on_turned_away: Callable[[Visitor], None] = lambda visitor: None,
    ) -> None:
        self.arrivals: queue.SimpleQueue[tuple[str, ssl.SSLSocket]] = queue.SimpleQueue()
        self.turned_away: deque[Visitor] = deque(maxlen=3)
        self._on_turned_away = on_turned_away
        self._listener = listener
        self._context = context
        self._expected = expected
        self._purpose = purpose
        self._lock = threading.Lock()
        self._visitors = VisitorLog(log)
        self._handshakes: dict[ssl.SSLSocket, _Handshake] = {}
        self._dropped: list[threading.Thread] = []
        self._random = random.SystemRandom()
        self._stop = threading.Event()
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._receive, name="reception", daemon=True)

    def __enter__(self) -> Reception:
        self._listener.setblocking(False)
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stop.set()
        self._wake.close()
        self._thread.join()
        self._woken.close()
        with self._lock:
            unfinished = dict(self._handshakes)
        for connection, handshake in unfinished.items():
            _hang_up(connection)
            handshake.thread.join()
        for thread in self._dropped:  # what they say of their visitors is said before the end, too
            thread.join()
        while not self.arrivals.empty():
            name, connection = self.arrivals.get()
            log.warning("turned away a further connection of %s", name)
            connection.close()
        self._visitors.flush()

    def _receive(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._woken, select.POLLIN)  # readable when its other end is closed
        while not self._stop.is_set():
            poll.poll()
            try:
                raw, remote = self._listener.accept()
            except BlockingIOError:  # nobody is there: it is over, or the visitor left already
                continue
            except OSError as error:  # the visitor left already, or the process has too many files open
                self._visitors.note(logging.WARNING, "this machine", f"could not accept a connection: {error}")
                self._stop.wait(_RETRY_SECONDS)
                continue
            self._begin_handshake(raw, str(remote[0]))

    def _begin_handshake(self, raw: socket.socket, host: str) -> None:
        try:
            raw.settimeout(_TLS_SECONDS)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:  # it left already
            raw.close()
            self._note(host, error)
            return
        thread = threading.Thread(target=self._admit, args=(connection, host), name=f"handshake {host}", daemon=True)
        with self._lock:
            if len(self._handshakes) >= _MAX_HANDSHAKES:
                dropped = self._one_of_the_largest_network()
                self._dropped = [thread for thread in self._dropped if thread.is_alive()]
                self._dropped.append(self._handshakes.pop(dropped).thread)
                _hang_up(dropped)
            self._handshakes[connection] = _Handshake(thread, network_of(host))
        thread.start()

    def _one_of_the_largest_network(self) -> ssl.SSLSocket:
        counts = Counter(handshake.network for handshake in self._handshakes.values())
        (largest, _), *_ = counts.most_common(1)
        members = [connection for connection, handshake in self._handshakes.items() if handshake.network == largest]
        return self._random.choice(members)

    def _admit(self, connection: ssl.SSLSocket, host: str) -> None:
        try:
            connection.do_handshake()
            shown = connection.getpeercert(binary_form=True)
            name = next((name for name, pinned in self._expected.items() if pinned.der == shown), None)
            if name is None:
                raise ValueError(NOT_PINNED)
            came_for = connection.selected_alpn_protocol() or "smule-run"
            connection.sendall(WELCOME if came_for == self._purpose else OTHERWISE_ENGAGED + CLOCK.pack(time.time()))
        except (OSError, ValueError) as error:
            connection.close()
            self._note(host, error)
        else:
            if came_for == self._purpose:
                with self._lock:  # who has arrived is no handshake any more, which the end of all this would cut off
                    self._handshakes.pop(connection, None)
                    self.arrivals.put((name, connection))
            else:
                connection.close()
                self._visitors.note(logging.INFO, host, f"{name} came for {came_for}, not for {self._purpose}")
        finally:
            with self._lock:
                self._handshakes.pop(connection, None)  # it is not there if it was dropped

    def _note(self, host: str, error: Exception) -> None:
        who = visitor(host, error)
        self.turned_away.append(who)
        self._on_turned_away(who)
        self._visitors.note(logging.WARNING, host, f"turned away a connection from {host}: {who.reason}")


def network_of(host: str) -> str:
    """What counts as one origin of connections: an IPv4 address, or the network that an IPv6 address lies in."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))


def _hang_up(connection: ssl.SSLSocket) -> None:
    """Wake the thread in whose hands the connection is; that thread closes it."""
    with contextlib.suppress(OSError):  # it is closed already
        # Not SSLSocket.shutdown, which takes the TLS state away under that thread.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
