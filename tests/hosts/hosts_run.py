"""One run: its processes together, started again where a test asks for it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hosts_folders import EXCHANGES, NUM_QUERIES, SMALL, Folders, write_data
from hosts_network import ROLES, Network
from hosts_processes import Command, HostProcess, Instrument

from smule_crypten.config.schemes import SCHEME_TRAITS
from smule_crypten.launch.dealer import main as dealer_main
from smule_crypten.launch.party import main as party_main
from smule_crypten.launch.train import main as simulation_main

NAMES = {"a": "party a", "b": "party b", "dealer": "the dealer"}
RUN_SECONDS = 60.0
"""How long an undisturbed run may take on a busy machine."""


class Processes(ABC):
    """A context manager that leaves no process behind. processes holds the latest one of each role."""

    def __init__(self, roles: tuple[str, ...]) -> None:
        self.roles = roles
        self.processes: dict[str, HostProcess] = {}
        self._started: list[HostProcess] = []

    def start(self, *roles: str, instruments: Mapping[str, Instrument] | None = None) -> None:
        """Start these roles, all if none is named, each with the same command as before."""
        for role in roles or self.roles:
            self.processes[role] = self._launch(role, (instruments or {}).get(role))
            self._started.append(self.processes[role])

    def wait(self, seconds: float = RUN_SECONDS) -> dict[str, int | None]:
        """The exit codes, None for a process that still runs after so many seconds."""
        until = time.monotonic() + seconds
        return {role: process.wait(max(0.0, until - time.monotonic())) for role, process in self.processes.items()}

    def complete(self, *roles: str) -> None:
        """Start these roles, or all, and see all of the run end well."""
        self.start(*roles)
        assert self.wait() == dict.fromkeys(self.roles, 0), self.logs()

    def logs(self) -> str:
        return "\n".join(f"--- {role}\n{process.log}" for role, process in self.processes.items())

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._started:
            process.end()

    @abstractmethod
    def _launch(self, role: str, instrument: Instrument | None) -> HostProcess: ...


class HostRun(Processes):
    """Between hosts: each role by the command of its folder, on its own host.

    commands and arguments: of a role that does something else than a party of a run, or is told more.
    """

    def __init__(
        self,
        network: Network,
        folders: Folders,
        commands: Mapping[str, Command] | None = None,
        arguments: Mapping[str, list[str]] | None = None,
    ) -> None:
        super().__init__(folders.roles)
        self._network = network
        self._folders = folders
        self._commands = {"a": party_main, "b": party_main, "dealer": dealer_main} | dict(commands or {})
        self._arguments = dict(arguments or {})

    def _launch(self, role: str, instrument: Instrument | None) -> HostProcess:
        kind = "dealer" if role == "dealer" else "party"
        namespaces = self._network.namespaces
        return HostProcess(
            self._commands[role],
            [f"+{kind}={self._folders.side_file(role)}", *self._arguments.get(role, [])],
            self._folders.folder(role),
            namespace=None if namespaces is None else namespaces[role],
            instrument=instrument,
        )


class SimulatedRun(Processes):
    """The same as a simulation with repeatable randomness: `smule`, where RANK names each process.

    The run folder is <root>/run. overrides come after those of SMALL.
    """

    def __init__(self, root: Path, *overrides: str, scheme: str = "lean") -> None:
        super().__init__(ROLES if SCHEME_TRAITS[scheme].needs_dealer else ROLES[:2])
        self._root = root
        self.overrides = [*simulation_overrides(root, scheme), *overrides]
        self._attempt = 0

    def output(self, role: str) -> Path:
        """Where a party keeps what is its own."""
        return self._root / "run" / f"party_{role}"

    def start(self, *roles: str, instruments: Mapping[str, Instrument] | None = None) -> None:
        self._attempt += 1
        super().start(*roles, instruments=instruments)

    def _launch(self, role: str, instrument: Instrument | None) -> HostProcess:
        # A store is used up by one meeting.
        environment = {"SMULE_ROLE": role, "SMULE_RENDEZVOUS": f"file://{self._root}/rendezvous_{self._attempt}"}
        folder = self._root / f"process_{role}"
        return HostProcess(simulation_main, self.overrides, folder, environment=environment, instrument=instrument)


def simulation_overrides(root: Path, scheme: str = "lean") -> list[str]:
    """The settings of a run between hosts for `smule`. The data set is as large as those of both parties together."""
    path = root / "data.npz"
    write_data(path, num_train=128, seed=0)
    data = ["data=npz", f"data.path={path}", "partition=iid", f"scheme={scheme}"]
    models = ["party_a/model=mlp", "party_b/model=mlp"]
    small = [f"{key}={value}" for key, value in _flattened(SMALL) if not key.startswith("model.")]
    for party in ("party_a", "party_b"):
        small.append(f"{party}.model.options.hidden={SMALL['model']['options']['hidden']}")
        # A run that is cut off three times.
        small.append(f"+{party}.disclosure={{max_answers_total:{(len(EXCHANGES) + 3) * NUM_QUERIES},repeats:3}}")
    return [*data, *models, *small, "simulation.pooled=false", f"hydra.run.dir={root / 'run'}"]


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in settings.items():
        flat += _flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return flat
