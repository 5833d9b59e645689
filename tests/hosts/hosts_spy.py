"""What a process must not write down, collected from within: entropy, stream keys, and what crosses its links."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smule_crypten.mpc import keys
from smule_crypten.transport.link import Link

_KEPT = 150
"""Of each kind; the connection must take all of it at once."""
_TENSOR_BYTES = 64


class Spy:
    """Stands in for a tripwire. The connection gets {"keys": [bytes], "tensors": [bytes]} at the end."""

    def arm(self, connection: Connection) -> None:
        self._connection = connection
        self._secrets: dict[str, list[bytes]] = {"keys": [], "tensors": []}
        self._watch_entropy()
        self._watch_keys()
        self._watch_links()

    def tell(self) -> None:
        self._connection.send({kind: secrets[:_KEPT] for kind, secrets in self._secrets.items()})

    def _watch_entropy(self) -> None:
        urandom = os.urandom

        def watched(size: int) -> bytes:
            entropy = urandom(size)
            if size == keys.KEY_BYTES:
                self._secrets["keys"].append(entropy)
            return entropy

        os.urandom = watched

    def _watch_keys(self) -> None:
        secrets = self._secrets["keys"]

        class WatchedHKDF:
            def __init__(self, *arguments: Any, **options: Any) -> None:
                self._hkdf = HKDF(*arguments, **options)

            def derive(self, material: bytes) -> bytes:
                secrets.append(self._hkdf.derive(material))
                return secrets[-1]

        mock.patch.object(keys, "HKDF", WatchedHKDF).start()

    def _watch_links(self) -> None:
        transfer = Link.transfer

        @functools.wraps(transfer)
        def watched(link: Link, outgoing: Sequence[memoryview], incoming: Sequence[memoryview]) -> None:
            transfer(link, outgoing, incoming)
            self._secrets["tensors"] += [bytes(buffer[:_TENSOR_BYTES]) for buffer in (*outgoing, *incoming)]

        mock.patch.object(Link, "transfer", watched).start()
