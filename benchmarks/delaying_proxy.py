"""A TCP proxy that behaves like a slow, distant link: for each connection and each direction one line of a fixed rate
and a fixed delay. What passes through (TLS here) is untouched.

The model of a line: a byte enters when the line is free, occupies it for 8 / rate seconds, and arrives half a round
trip later. The two directions do not disturb each other. What waits in front of a line is at most a
bandwidth-delay product (at least 256 KiB), so that the sender feels the rate, and so is what nobody takes at its
end. There is no loss, no jitter and no slow start: the link of a connection that has found its window.

As a program it serves until its standard input and then its connections end, and prints the port on which it listens:

    python benchmarks/delaying_proxy.py 127.0.0.1:7701 --mbit 100 --rtt-ms 40
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 16 << 10
"""One TLS record; bytes arrive in pieces of at most this size."""
SMALLEST_BUFFER_BYTES = 256 << 10
SOCKET_BUFFER_BYTES = 256 << 10
"""Of the proxy's own sockets: the line and not the kernel holds what is on its way. Loopback's segments have 64 KiB,
and stall in buffers that hold only one of them."""
FINISH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class LinkSpeed:
    """In each direction mbit million bits a second; rtt_ms is the time there and back."""

    mbit: float
    rtt_ms: float

    @property
    def bytes_per_second(self) -> float:
        return self.mbit * 1e6 / 8

    @property
    def rtt_seconds(self) -> float:
        return self.rtt_ms / 1e3

    @property
    def buffer_bytes(self) -> int:
        return max(SMALLEST_BUFFER_BYTES, int(self.bytes_per_second * self.rtt_seconds))

    def __str__(self) -> str:
        return f"{self.mbit:g} Mbit/s, {self.rtt_ms:g} ms"


class Line:
    """One direction of one connection."""

    def __init__(self, speed: LinkSpeed, source: socket.socket, target: socket.socket) -> None:
        self._speed = speed
        self._source = source
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._on_the_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self._num_bytes = 0
        self._changed = asyncio.Event()
        # In front of the line, on it, and as much again that has arrived and waits for its reader.
        self._most_bytes = 3 * speed.buffer_bytes

    async def run(self) -> None:
        """Until the source ends and everything has arrived; the end then arrives, too."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_in())
            tasks.create_task(self._hand_out())

    async def _take_in(self) -> None:
        free_at = 0.0
        while True:
            now = self._loop.time()
            waits_until = free_at - self._speed.buffer_bytes / self._speed.bytes_per_second
            if waits_until > now:
                await asyncio.sleep(waits_until - now)
            while self._num_bytes > self._most_bytes:
                await self._change()
            data = await self._loop.sock_recv(self._source, CHUNK_BYTES)
            free_at = max(free_at, self._loop.time()) + len(data) / self._speed.bytes_per_second
            self._on_the_way.append((free_at + self._speed.rtt_seconds / 2, data))
            self._num_bytes += len(data)
            self._changed.set()
            if not data:
                return

    async def _hand_out(self) -> None:
        while True:
            while not self._on_the_way:
                await self._change()
            arrives_at, data = self._on_the_way[0]
            await asyncio.sleep(max(0.0, arrives_at - self._loop.time()))
            if not data:
                self._target.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(self._target, data)
            self._on_the_way.popleft()
            self._num_bytes -= len(data)
            self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Proxy:
    def __init__(self, speed: LinkSpeed, target: tuple[str, int]) -> None:
        self._speed = speed
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        _keep_small(self._listener)  # before accept: what is accepted inherits it
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[asyncio.Task[None]] = set()

    async def finish(self) -> None:
        """Wait until what is on its way has arrived: whoever sent it may have ended already."""
        self._listener.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=FINISH_SECONDS)

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            task = asyncio.create_task(self._pass(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _pass(self, connection: socket.socket) -> None:
        with connection, socket.socket() as onward:
            for end in (connection, onward):
                _keep_small(end)
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A connection that one side breaks off is broken off for the other, too.
            with contextlib.suppress(ExceptionGroup, OSError):
                await asyncio.get_running_loop().sock_connect(onward, self._target)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(Line(self._speed, connection, onward).run())
                    tasks.create_task(Line(self._speed, onward, connection).run())


def _keep_small(end: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        end.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)


@contextlib.contextmanager
def delayed(host: str, port: int, speed: LinkSpeed) -> Iterator[tuple[str, int]]:
    """The address at which host:port is reached over an emulated link; the proxy is a process of its own."""
    command = [sys.executable, __file__, f"{host}:{port}", "--mbit", str(speed.mbit), "--rtt-ms", str(speed.rtt_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield LOOPBACK, int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait()


async def _serve_until_input_ends(proxy: Proxy) -> None:
    print(proxy.port, flush=True)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            ended.set()

    loop.add_reader(sys.stdin.fileno(), read)
    serving = asyncio.create_task(proxy.serve())
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())
    serving.cancel()
    await asyncio.wait([serving])
    await proxy.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="host:port behind the link")
    parser.add_argument("--mbit", type=float, required=True, help="million bits a second in each direction")
    parser.add_argument("--rtt-ms", type=float, required=True, help="milliseconds there and back")
    arguments = parser.parse_args()
    host, _, port = arguments.target.rpartition(":")
    proxy = Proxy(LinkSpeed(mbit=arguments.mbit, rtt_ms=arguments.rtt_ms), (host, int(port)))
    # select() waits to the microsecond, epoll to the millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_serve_until_input_ends(proxy))


if __name__ == "__main__":
    main()
