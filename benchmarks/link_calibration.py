"""Whether an emulated link is what it claims to be: its rate and its round trip, measured with plain sockets."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from delaying_proxy import LOOPBACK, LinkSpeed, delayed

NUM_PINGS = 20
SECONDS_OF_DATA = 2.0
PING = b"."
_PIECE_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """one_way_mbit with one busy direction, each_way_mbit with both busy at once (the slower one)."""

    rtt_ms: float
    one_way_mbit: float
    each_way_mbit: float

    def __str__(self) -> str:
        rates = f"{self.one_way_mbit:.1f} Mbit/s one way, {self.each_way_mbit:.1f} each way with both busy"
        return f"{self.rtt_ms:.1f} ms, {rates}"


def calibrate(speed: LinkSpeed) -> Calibration:
    """Measure an emulated link of that speed. The first byte's way is no part of a rate."""
    with _pair(speed) as (near, far):
        with _in_thread(lambda: _echo(far)):
            pings = [_ping(near) for _ in range(NUM_PINGS)]
        num_bytes = int(speed.bytes_per_second * SECONDS_OF_DATA)
        one_way = _rate(near, far, num_bytes)
        rates: list[float] = []
        with _in_thread(lambda: rates.append(_rate(far, near, num_bytes))):
            rates.append(_rate(near, far, num_bytes))
    return Calibration(
        rtt_ms=1e3 * statistics.median(pings), one_way_mbit=8e-6 * one_way, each_way_mbit=8e-6 * min(rates)
    )


@contextmanager
def _pair(speed: LinkSpeed) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected over the link."""
    with (
        socket.create_server((LOOPBACK, 0)) as listener,
        delayed(LOOPBACK, listener.getsockname()[1], speed) as address,
        socket.create_connection(address) as near,
    ):
        far, _ = listener.accept()
        with far:
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield near, far


def _ping(near: socket.socket) -> float:
    started = time.perf_counter()
    near.sendall(PING)
    near.recv(1)
    return time.perf_counter() - started


def _echo(far: socket.socket) -> None:
    for _ in range(NUM_PINGS):
        far.sendall(far.recv(1))


def _rate(source: socket.socket, target: socket.socket, num_bytes: int) -> float:
    """Bytes a second from the arrival of the first piece to that of the last."""
    with _in_thread(lambda: source.sendall(bytes(num_bytes))):
        first = len(target.recv(_PIECE_BYTES))
        started, left = time.perf_counter(), num_bytes - first
        while left > 0:
            left -= len(target.recv(min(left, _PIECE_BYTES)))
        return (num_bytes - first) / (time.perf_counter() - started)


@contextmanager
def _in_thread(action: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=action)
    thread.start()
    yield
    thread.join()
