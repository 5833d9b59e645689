from __future__ import annotations

from collections.abc import Iterator

import pytest
from hosts_folders import Folders
from hosts_network import Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Three hosts, for one test after the other."""
    with Network() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def steps(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """How many steps each role takes in each phase of an undisturbed run with a dealer."""
    return _undisturbed(Folders(tmp_path_factory.mktemp("undisturbed"), network), network)


@pytest.fixture(scope="session")
def steps_of_two(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """The same of the two parties alone."""
    return _undisturbed(Folders(tmp_path_factory.mktemp("undisturbed"), network, "two_party"), network)


def _undisturbed(folders: Folders, network: Network) -> dict[str, dict[str, int]]:
    with HostRun(network, folders) as run:
        run.start(instruments={role: Tripwire("count") for role in folders.roles})
        assert run.wait() == dict.fromkeys(folders.roles, 0), run.logs()
        return {role: process.receive(RUN_SECONDS) for role, process in run.processes.items()}
