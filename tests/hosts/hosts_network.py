"""Three hosts for the tests: network namespaces behind a switch, or three loopback addresses where those are refused.

Namespaces need root and iproute2. Only they can be cut off from the others.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from types import TracebackType

ROLES: tuple[str, ...] = ("a", "b", "dealer")
_PORTS = {"a": 7701, "dealer": 7702}
_counter = itertools.count()


class Network:
    """A context manager. listening holds host:port of the roles that listen; namespaces is None on loopback."""

    def __init__(self) -> None:
        prefix = f"smule-{os.getpid()}-{next(_counter)}"
        self._switch = f"{prefix}-switch"
        self.namespaces: dict[str, str] | None = {role: f"{prefix}-{role}" for role in ROLES}
        hosts = {role: f"10.77.0.{number}" for number, role in enumerate(ROLES, start=1)}
        if not self._build(self.namespaces, hosts):
            self._remove()
            self.namespaces = None
            hosts = {role: f"127.0.0.{number}" for number, role in enumerate(ROLES, start=1)}
        ports = _PORTS if self.namespaces is not None else {role: _free_port(hosts[role]) for role in _PORTS}
        self.listening = {role: f"{hosts[role]}:{port}" for role, port in ports.items()}

    def cut(self, role: str) -> None:
        """Pull the cable of one host: its packets and those to it are lost, and nobody is told."""
        self._ip(f"-n {self._switch} link set dev port-{role} down")

    def mend(self, role: str) -> None:
        self._ip(f"-n {self._switch} link set dev port-{role} up")

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.namespaces is not None:
            self._remove()

    def _build(self, namespaces: dict[str, str], hosts: dict[str, str]) -> bool:
        if shutil.which("ip") is None or os.geteuid() != 0:
            return False
        switch = self._switch
        commands = [
            f"netns add {switch}",
            f"-n {switch} link add name bridge type bridge",
            f"-n {switch} link set bridge up",
        ]
        for role, namespace in namespaces.items():
            commands += [
                f"netns add {namespace}",
                f"-n {switch} link add name port-{role} type veth peer name eth0 netns {namespace}",
                f"-n {switch} link set dev port-{role} master bridge up",
                f"-n {namespace} address add {hosts[role]}/24 dev eth0",
                f"-n {namespace} link set eth0 up",
                f"-n {namespace} link set lo up",
            ]
        return all(self._ip(command) for command in commands)

    def _remove(self) -> None:
        for namespace in (*(self.namespaces or {}).values(), self._switch):
            self._ip(f"netns delete {namespace}")

    def _ip(self, command: str) -> bool:
        if shutil.which("ip") is None:
            return False
        return subprocess.run(["ip", *command.split()], capture_output=True, check=False).returncode == 0


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port
