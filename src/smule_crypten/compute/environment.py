"""How the processes of a party were started, and where they meet: by us, by torchrun, or by a scheduler's srun."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

STORE_FILE = "store"


class SpawnedEnvironment(ClusterEnvironment):
    """Processes of one machine that process 0 has started, which meet through a folder that nobody else may enter."""

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        self._folder, self._rank, self._size = folder, rank, size

    @property
    def creates_processes_externally(self) -> bool:
        """As far as Fabric is concerned."""
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """There is none: the store is a file."""
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._size

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0

    def store(self) -> Store:
        """A file in the folder."""
        # Messages between processes of one machine stay on it.
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
        store: Store = dist.FileStore(str(self._folder / STORE_FILE), self._size)
        return store


def outer_environment() -> ClusterEnvironment:
    """That of torchrun or of srun, one of which has started this process (started.py)."""
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment()


def store_of(environment: ClusterEnvironment, patience: float) -> Store:
    """Where the processes leave each other words; patience: seconds until process 0 is there, or all are to it."""
    if isinstance(environment, SpawnedEnvironment):
        return environment.store()
    # Reading them sets the variables that PyTorch reads, where a scheduler does not.
    _ = environment.main_address, environment.main_port
    store: Store
    rank, size = environment.global_rank(), environment.world_size()
    store, _, _ = next(rendezvous("env://", rank, size, timeout=timedelta(seconds=patience)))
    return store
