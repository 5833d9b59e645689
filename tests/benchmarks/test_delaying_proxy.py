"""The emulated link of the benchmarks. Times are checked from below only: no machine is too slow for these tests."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

MBIT, RTT_MS = 80.0, 30.0
BYTES_PER_SECOND = 10_000_000


@contextmanager
def connected(delaying_proxy: ModuleType) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets with the proxy between them."""
    speed = delaying_proxy.LinkSpeed(mbit=MBIT, rtt_ms=RTT_MS)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        delaying_proxy.delayed(*listener.getsockname(), speed) as address,
        socket.create_connection(address) as near,
    ):
        far, _ = listener.accept()
        with far:
            yield near, far


def read_to_the_end(source: socket.socket) -> bytes:
    return b"".join(iter(lambda: source.recv(1 << 16), b""))


def test_both_directions_pass_unchanged_and_end_apart(delaying_proxy: ModuleType) -> None:
    """More than all buffers hold, both ways at once; the end of one direction leaves the other open."""
    first, second = random.Random(1).randbytes(4_000_000), random.Random(2).randbytes(3_000_000)

    def send(end: socket.socket, data: bytes) -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    with connected(delaying_proxy) as (near, far):
        senders = [threading.Thread(target=send, args=pair) for pair in ((near, first), (far, second))]
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(read_to_the_end(near)))
        for thread in (*senders, reader):
            thread.start()
        arrived = read_to_the_end(far)
        for thread in (*senders, reader):
            thread.join()
    assert arrived == first
    assert received == [second]


def test_nothing_is_early(delaying_proxy: ModuleType) -> None:
    """A byte takes half a round trip, and a long message its length over the rate on top."""
    length = 1_000_000
    with connected(delaying_proxy) as (near, far):
        started = time.perf_counter()
        near.sendall(bytes(length))
        assert len(far.recv(1)) == 1
        first_seconds = time.perf_counter() - started
        near.shutdown(socket.SHUT_WR)
        assert len(read_to_the_end(far)) == length - 1
        all_seconds = time.perf_counter() - started
    assert first_seconds >= RTT_MS / 2e3
    assert all_seconds >= RTT_MS / 2e3 + length / BYTES_PER_SECOND


def test_what_is_on_its_way_still_arrives_when_the_proxy_is_told_to_end(delaying_proxy: ModuleType) -> None:
    """A process that has said goodbye ends at once, its proxy with it; the other side must still hear it."""
    speed = delaying_proxy.LinkSpeed(mbit=MBIT, rtt_ms=RTT_MS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arrived: list[bytes] = []
        is_connected = threading.Event()

        def receive() -> None:
            with listener.accept()[0] as far:
                is_connected.set()
                arrived.append(read_to_the_end(far))

        receiver = threading.Thread(target=receive)
        receiver.start()
        with (
            delaying_proxy.delayed(*listener.getsockname(), speed) as address,
            socket.create_connection(address) as near,
        ):
            is_connected.wait()  # a proxy that ends before it has accepted has nothing on its way
            near.sendall(b"goodbye")
        receiver.join()
    assert arrived == [b"goodbye"]


def test_nobody_behind_the_link(delaying_proxy: ModuleType) -> None:
    """Who connects before the other process listens is turned away, and may come again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()
    speed = delaying_proxy.LinkSpeed(mbit=MBIT, rtt_ms=RTT_MS)
    with delaying_proxy.delayed(*free, speed) as address:
        for _ in range(2):
            with socket.create_connection(address) as near:
                assert near.recv(1) == b""


@pytest.mark.parametrize(("mbit", "rtt_ms", "expected"), [(100.0, 40.0, 500_000), (1.0, 1.0, 256 << 10)])
def test_buffer_holds_a_bandwidth_delay_product(
    delaying_proxy: ModuleType, mbit: float, rtt_ms: float, expected: int
) -> None:
    assert delaying_proxy.LinkSpeed(mbit=mbit, rtt_ms=rtt_ms).buffer_bytes == expected
