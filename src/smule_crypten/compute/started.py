"""Who has started this process: nobody but its user, or torchrun or srun, as one of several of a party."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smule_crypten.compute.library import require_hardware
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.errors import ConfigError


def rank_outside(compute: ComputeConfig, environ: Mapping[str, str] = os.environ) -> int | None:
    """Of this process among those that torchrun or srun has started; None where they did not, or one alone.

    Raises:
        ConfigError: they have started another number of processes than compute asks for, or nobody has started those on
            other machines.
    """
    starter, rank, size = _started_by(environ)
    if starter is None and compute.nodes > 1:
        raise ConfigError(
            f"compute.nodes={compute.nodes}: start the processes by torchrun or srun on each machine, or set "
            "compute.nodes=1 (docs/compute.md)"
        )
    if starter is None or (size == 1 and compute.processes == 1):
        return None
    if size != compute.processes:
        raise ConfigError(
            f"{starter} has started {size} processes, but compute.devices={compute.devices} times "
            f"compute.nodes={compute.nodes} are {compute.processes}; set them to what is started"
        )
    return rank


def require_processes(compute: ComputeConfig, device: str) -> None:
    """Raise ConfigError where a party cannot start its processes itself, on this machine."""
    rank_outside(compute, {})
    require_hardware(compute, device)


def _started_by(environ: Mapping[str, str]) -> tuple[str | None, int, int]:
    """Its name, the rank of this process and how many there are."""
    for starter, sign, rank, size in (
        ("torchrun", "TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE"),
        ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ):
        if sign in environ:
            return starter, int(environ.get(rank, 0)), int(environ.get(size, 1))
    return None, 0, 1
