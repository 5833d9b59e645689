from __future__ import annotations

from collections.abc import Iterator

import pytest
from hosts_folders import Folders
from hosts_network import ROLES, Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Three hosts, for one test after the other."""
    with Network() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def steps(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """How many steps each role takes in each phase of an undisturbed run."""
    folders = Folders(tmp_path_factory.mktemp("undisturbed"), network)
    with HostRun(network, folders) as run:
        run.start(instruments={role: Tripwire("count") for role in ROLES})
        assert run.wait() == dict.fromkeys(ROLES, 0), run.logs()
        return {role: process.receive(RUN_SECONDS) for role, process in run.processes.items()}
