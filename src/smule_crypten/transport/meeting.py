"""How the processes of a run find and authenticate each other.

Roles are fixed: party a listens for party b, and the dealer, where the scheme needs one, for both parties. So each
listening process needs one open port and party b none; two parties alone need party a's. Between organisations,
addresses and pinned certificates come from the configuration. In a simulation every process makes a throw-away key
pair, and introduces itself through the rendezvous store that SMULE_RENDEZVOUS names; from there on the links are the
same. RANK and WORLD_SIZE stay free for a party's own GPUs.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from smule_crypten.errors import ConfigError, PeerTimeoutError
from smule_crypten.transport.credentials import Certificate, Identity, create_identity, load_certificate
from smule_crypten.transport.ending import give_up
from smule_crypten.transport.endpoint import Address, accept_all, connect, listen
from smule_crypten.transport.link import Link
from smule_crypten.types import DEALER

log = logging.getLogger(__name__)

ROLES = ("party a", "party b", DEALER)
_ROLE, _RENDEZVOUS = ENVIRONMENT_KEYS = ("SMULE_ROLE", "SMULE_RENDEZVOUS")
_ROLE_VALUES = {"a": ROLES[0], "b": ROLES[1], "dealer": DEALER}
LOOPBACK = "127.0.0.1"

_LISTENS_FOR = {ROLES[0]: (ROLES[1],), ROLES[1]: (), DEALER: (ROLES[0], ROLES[1])}


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Everything one process needs to meet the others. listener is None at a process that only connects.

    addresses and certificates are those of the other processes, by role. introduction is what only has to live until
    all have met: the rendezvous, which party a may be serving, and the folder of throw-away keys.
    """

    role: str
    identity: Identity
    listener: socket.socket | None
    addresses: dict[str, Address]
    certificates: dict[str, Certificate]
    join_seconds: float
    deadline_seconds: float
    introduction: ExitStack = field(default_factory=ExitStack)

    def meet(self) -> dict[str, Link]:
        """Connect to and accept everybody; the links by role.

        Raises:
            CredentialError, PeerTimeoutError: who did not come, or came with the wrong certificate.
        """
        links: dict[str, Link] = {}
        try:
            for certificate in (self.identity.certificate, *self.certificates.values()):
                certificate.check_dates()
            for role in reversed(self._connects_to()):  # the dealer first: party a accepts only after it has met it
                self._say_who_is_awaited(role, str(self.addresses[role]))
                links[role] = connect(
                    self.addresses[role],
                    self.identity,
                    role,
                    self.certificates[role],
                    join_seconds=self.join_seconds,
                    deadline_seconds=self.deadline_seconds,
                    watched=tuple(links.values()),
                    known=self.certificates,
                )
            awaited = {role: self.certificates[role] for role in _LISTENS_FOR[self.role] if role in self.certificates}
            if self.listener is not None and awaited:
                if self.role != DEALER:  # which waits for as long as it takes, and says so itself
                    host, port = self.listener.getsockname()[:2]
                    self._say_who_is_awaited(" and ".join(awaited), f"{host}:{port} (here)")
                links |= accept_all(
                    self.listener,
                    self.identity,
                    awaited,
                    join_seconds=self.join_seconds,
                    deadline_seconds=self.deadline_seconds,
                    watched=tuple(links.values()),
                )
        except BaseException as error:
            give_up(links.values(), error)
            raise
        finally:
            self.introduction.close()
            if self.listener is not None:
                self.listener.close()
        for link in links.values():
            link.companions = [other for other in links.values() if other is not link]
        return links

    def _say_who_is_awaited(self, who: str, address: str) -> None:
        log.info("waiting for=%s address=%s at_most_seconds=%g", who, address, self.join_seconds)

    def _connects_to(self) -> list[str]:
        return [role for role in ROLES if role in self.certificates and self.role in _LISTENS_FOR[role]]


def role_environment(role: str, rendezvous: str) -> dict[str, str]:
    """The variables by which a process of a simulation learns its role, one of ROLES, and where the others are.

    Args:
        rendezvous: tcp://host:port or file:///path.
    """
    value = next(value for value, name in _ROLE_VALUES.items() if name == role)
    return {_ROLE: value, _RENDEZVOUS: rendezvous}


def role_from_environment() -> str:
    """The role that SMULE_ROLE names.

    Raises:
        ConfigError: a variable is missing or has no usable value.
    """
    missing = [key for key in ENVIRONMENT_KEYS if key not in os.environ]
    if missing:
        raise ConfigError(
            f"environment variable {', '.join(missing)} is not set; set {_ROLE} to a, b or dealer, and {_RENDEZVOUS} "
            "to tcp://host:port or file:///path, the same for all processes"
        )
    role = os.environ[_ROLE]
    if role not in _ROLE_VALUES:
        raise ConfigError(f"{_ROLE}={role}: no such role; set a or b, the two parties, or dealer")
    return _ROLE_VALUES[role]


def simulated_meeting(role: str, *, with_dealer: bool, join_seconds: float, deadline_seconds: float) -> Meeting:
    """Introduce this process through the store that SMULE_RENDEZVOUS names, with a throw-away key.

    Whoever can write to the store can introduce itself as anybody, so this serves simulation only.

    Raises:
        ConfigError: SMULE_RENDEZVOUS is not usable.
        PeerTimeoutError: another process did not come to the store.
    """
    rendezvous = os.environ[_RENDEZVOUS]
    roles = [other for other in ROLES if with_dealer or other != DEALER]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smule-keys-")))
        store = _store(rendezvous, role, len(roles), join_seconds)
        stack.callback(_let_go, store)
        listener = listen(Address(LOOPBACK, 0)) if _LISTENS_FOR[role] else None
        if listener is not None:
            stack.callback(listener.close)
        identity = create_identity(role.split()[-1], folder)
        port = listener.getsockname()[1] if listener is not None else 0
        store.set(role, json.dumps({"certificate": identity.certificate.path.read_text(), "port": port}))
        certificates, addresses = {}, {}
        for other in roles:
            if other != role:
                introduction = _introduction(store, other, rendezvous, join_seconds)
                path = folder / f"{other.split()[-1]}.pinned.pem"
                path.write_text(introduction["certificate"])
                certificates[other] = load_certificate(path)
                addresses[other] = Address(LOOPBACK, introduction["port"])
        return Meeting(
            role=role,
            identity=identity,
            listener=listener,
            addresses=addresses,
            certificates=certificates,
            join_seconds=join_seconds,
            deadline_seconds=deadline_seconds,
            introduction=stack.pop_all(),
        )


def _let_go(store: object) -> None:
    """Called last: until then the stack holds the store."""


_PATIENCE = timedelta(seconds=1)
"""The store waits in C++, where Ctrl-C is not heard, so it is asked again and again for a short time."""
_RETRY_SECONDS = 0.1
"""Between two such questions: a store that is gone answers at once."""


def _store(rendezvous: str, role: str, num_processes: int, join_seconds: float) -> Any:
    scheme, _, rest = rendezvous.partition("://")
    if scheme == "file" and rest:
        # CrypTen's own launcher keeps its store at the path itself.
        store = dist.FileStore(f"{rest}.smule", num_processes)
        store.set_timeout(_PATIENCE)
        return store
    if scheme != "tcp":
        raise ConfigError(f"{_RENDEZVOUS}={rendezvous} is neither tcp://host:port nor file:///path")
    address = Address.parse(rest, _RENDEZVOUS)
    open_store = functools.partial(dist.TCPStore, address.host, address.port, timeout=_PATIENCE, wait_for_workers=False)
    if role != ROLES[0]:
        return _patiently(lambda: open_store(is_master=False), ROLES[0], rendezvous, join_seconds)
    try:
        return open_store(is_master=True)
    except RuntimeError as error:
        raise ConfigError(f"cannot serve {_RENDEZVOUS}={rendezvous}; choose another port of this host") from error


def _introduction(store: Any, other: str, rendezvous: str, join_seconds: float) -> dict[str, Any]:
    introduction: dict[str, Any] = json.loads(_patiently(lambda: store.get(other), other, rendezvous, join_seconds))
    return introduction


def _patiently(ask: Callable[[], Any], other: str, rendezvous: str, join_seconds: float) -> Any:
    """Ask until there is an answer.

    Raises:
        PeerTimeoutError: there is none after join_seconds.
    """
    patience = time.monotonic() + join_seconds
    while True:
        try:
            return ask()
        except RuntimeError as error:
            if time.monotonic() > patience:
                raise PeerTimeoutError(
                    f"{other} did not come to {rendezvous} within {join_seconds:g} seconds; start it, too"
                ) from error
            time.sleep(_RETRY_SECONDS)
