"""What TLS itself carries between two processes on loopback: plain `ssl` sockets, none of this project's code.

Two connections, one a direction, each with a thread at either end: both directions are busy at once, as in an exchange.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.distributed as dist

from smule_crypten.transport.credentials import Identity

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 18


class PlainPair:
    """This process's ends of two connections: out carries what it sends, back what it receives."""

    def __init__(self, out: ssl.SSLSocket, back: ssl.SSLSocket) -> None:
        self._out, self._back = out, back

    def carry(self, bytes_sent: int, bytes_received: int) -> None:
        """Send and receive so much at once; the peer does the same from its side."""
        data, room = memoryview(bytes(bytes_sent)), bytearray(_CHUNK_BYTES)
        sending = threading.Thread(target=self._send, args=(data,))
        sending.start()
        left = bytes_received
        while left:
            left -= self._back.recv_into(room, min(left, _CHUNK_BYTES))
        sending.join()

    def _send(self, data: memoryview) -> None:
        for start in range(0, len(data), _CHUNK_BYTES):
            self._out.sendall(data[start : start + _CHUNK_BYTES])


@contextmanager
def plain_pair(identity: Identity) -> Iterator[PlainPair]:
    """Between the two processes of a gloo group; rank 0 listens, with this identity."""
    rank = dist.get_rank()
    with ExitStack() as stack:
        port = torch.zeros(1, dtype=torch.int64)
        if rank == 0:
            listener = stack.enter_context(socket.create_server((LOOPBACK, 0)))
            port[0] = listener.getsockname()[1]
        dist.broadcast(port, 0)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if rank == 0 else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if rank == 0:
            context.load_cert_chain(identity.certificate.path, identity.key_path)
        else:
            context.check_hostname = False
            context.load_verify_locations(identity.certificate.path)
        ends = []
        for _ in range(2):
            plain = listener.accept()[0] if rank == 0 else socket.create_connection((LOOPBACK, int(port)))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ends.append(stack.enter_context(context.wrap_socket(plain, server_side=rank == 0)))
        yield PlainPair(ends[rank], ends[1 - rank])
