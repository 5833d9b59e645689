"""One run: the three processes together, started again where a test asks for it."""

from __future__ import annotations

import functools
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hosts_folders import SMALL, Folders, write_data
from hosts_network import ROLES, Network
from hosts_processes import Command, HostProcess
from hosts_tripwire import Tripwire
from rich.console import Console

from smule_crypten.config import parse
from smule_crypten.launch.dealer import main as dealer_main
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.launch.party import main as party_main
from smule_crypten.processes.single_party import run_named_role
from smule_crypten.run_config import RunConfig

NAMES = {"a": "party a", "b": "party b", "dealer": "the dealer"}
RUN_SECONDS = 60.0
"""How long an undisturbed run may take on a busy machine."""


class ThreeProcesses(ABC):
    """A context manager that leaves no process behind. processes holds the latest one of each role."""

    def __init__(self) -> None:
        self.processes: dict[str, HostProcess] = {}
        self._started: list[HostProcess] = []

    def start(self, *roles: str, tripwires: Mapping[str, Tripwire] | None = None) -> None:
        """Start these roles, all three if none is named, each with the same command as before."""
        for role in roles or ROLES:
            self.processes[role] = self._launch(role, (tripwires or {}).get(role))
            self._started.append(self.processes[role])

    def wait(self, seconds: float = RUN_SECONDS) -> dict[str, int | None]:
        """The exit codes, None for a process that still runs after so many seconds."""
        until = time.monotonic() + seconds
        return {role: process.wait(max(0.0, until - time.monotonic())) for role, process in self.processes.items()}

    def complete(self, *roles: str) -> None:
        """Start these roles, or all, and see all three end well."""
        self.start(*roles)
        assert self.wait() == dict.fromkeys(ROLES, 0), self.logs()

    def logs(self) -> str:
        return "\n".join(f"--- {role}\n{process.log}" for role, process in self.processes.items())

    def __enter__(self) -> ThreeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._started:
            process.end()

    @abstractmethod
    def _launch(self, role: str, tripwire: Tripwire | None) -> HostProcess: ...


class HostRun(ThreeProcesses):
    """Between hosts: each role by the command of its folder, on its own host."""

    def __init__(self, network: Network, folders: Folders) -> None:
        super().__init__()
        self._network = network
        self._folders = folders

    def _launch(self, role: str, tripwire: Tripwire | None) -> HostProcess:
        command: Command = dealer_main if role == "dealer" else party_main
        kind = "dealer" if role == "dealer" else "party"
        namespaces = self._network.namespaces
        return HostProcess(
            command,
            [f"+{kind}={self._folders.side_file(role)}"],
            self._folders.folder(role),
            namespace=None if namespaces is None else namespaces[role],
            tripwire=tripwire,
        )


class SimulatedRun(ThreeProcesses):
    """The same as a simulation, with repeatable randomness: RANK and RENDEZVOUS name the roles.

    The run folder is <root>/run. settings are merged over the configuration.
    """

    def __init__(self, root: Path, **settings: Any) -> None:
        super().__init__()
        self._root = root
        self._settings = simulation_settings(root) | settings
        self._attempt = 0

    def output(self, role: str) -> Path:
        """Where a party keeps what is its own."""
        return self._root / "run" / f"party_{role}"

    def start(self, *roles: str, tripwires: Mapping[str, Tripwire] | None = None) -> None:
        self._attempt += 1
        super().start(*roles, tripwires=tripwires)

    def _launch(self, role: str, tripwire: Tripwire | None) -> HostProcess:
        environment = {
            "WORLD_SIZE": "2",
            "RANK": str(ROLES.index(role)),
            # A store is used up by one meeting.
            "RENDEZVOUS": f"file://{self._root}/rendezvous_{self._attempt}",
        }
        command = functools.partial(_simulate_role, self._settings, self._root / "run")
        return HostProcess(command, [], self._root / f"logs_{role}", environment=environment, tripwire=tripwire)


def simulation_settings(root: Path) -> dict[str, Any]:
    """The settings of Folders for a simulation; its data set is as large as those of both parties."""
    path = root / "data.npz"
    if not path.exists():
        write_data(path, num_train=128, seed=0)
    return {
        **{key: value for key, value in SMALL.items() if key != "model"},
        "party_a": {"model": SMALL["model"]},
        "party_b": {"model": SMALL["model"]},
        "data": {"name": "npz", "path": str(path), "mean": [0.5], "std": [0.5]},
        "partition": {"name": "iid"},
        "scheme": {"name": "crypten"},
        "provider": {"name": "dealer"},
        "randomness": "seeded_insecure",
        "allow_insecure": True,
    }


def _simulate_role(settings: dict[str, Any], run_dir: Path) -> None:
    sys.exit(exit_code_of(lambda: run_named_role(parse(RunConfig, settings), run_dir, Console())))
