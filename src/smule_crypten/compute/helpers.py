"""Process 0's side: the other processes of a party, from their start to their end, and a learner that uses them."""

from __future__ import annotations

import itertools
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from smule_crypten.compute.library import require_hardware
from smule_crypten.compute.started import rank_outside, require_processes
from smule_crypten.compute.workers import Workers
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import LaunchConfig
from smule_crypten.training.computing import Computing
from smule_crypten.training.learner import Holding, Learner

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

    from smule_crypten.compute.group import Group


@dataclass(frozen=True)
class ToLearn:
    """What process 0 says first: the learner, as far as its trainers need it, and the ids that soft labels speak of."""

    learner: Learner
    sample_ids: torch.Tensor


class Helpers:
    """The other processes of a party, to process 0."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def spread(self, learner: Learner) -> Learner:
        """The same learner, whose trainers all processes compute; the others hear of it.

        Raises:
            PartyFailedError: one of them is gone.
        """
        from smule_crypten.compute.spread_computing import SpreadComputing

        held = learner.holding
        sample_ids = torch.cat([held.train.sample_ids, held.unlabelled.sample_ids]).cpu()
        nothing = held.train.select(torch.arange(0))
        needed = Holding(train=held.train, validation=nothing, pool=held.unlabelled, test=nothing)
        self._group.say(ToLearn(replace(learner, holding=needed, computing=Computing), sample_ids))
        numbers = itertools.count()
        return replace(learner, computing=lambda: SpreadComputing(self._group, next(numbers), sample_ids))


def require_portable(compute: ComputeConfig, held: Holding) -> None:
    """Raise ConfigError where inputs cannot be handed to the other processes, before anybody is met."""
    for part in (held.train, held.unlabelled) if compute.processes > 1 else ():
        if not part.is_in_memory:
            pickle.dumps(part)


@contextmanager
def opened_helpers(
    compute: ComputeConfig, launch: LaunchConfig, device: str, name: str, *, between_hosts: bool
) -> Iterator[Helpers | None]:
    """The other processes of party `name`, while they are needed; None where compute asks for one alone.

    Between hosts they may have been started by torchrun or srun; else they are started here.

    Raises:
        ConfigError: as rank_outside; the extra `compute` is not installed, or devices are missing.
        PartyFailedError: one of them failed.
    """
    is_outside = between_hosts and rank_outside(compute) is not None
    (require_hardware if is_outside else require_processes)(compute, device)
    if compute.processes == 1:
        yield None
        return
    from smule_crypten.compute.environment import SpawnedEnvironment, outer_environment

    if is_outside:
        with _joined(outer_environment(), compute, launch, device, name) as helpers:
            yield helpers
        return
    with tempfile.TemporaryDirectory(prefix="smule-compute-") as folder:
        workers = Workers(Path(folder), compute, launch, device, name)
        try:
            environment = SpawnedEnvironment(Path(folder), 0, compute.processes)
            with _joined(environment, compute, launch, device, name, ended=workers.ended) as helpers:
                yield helpers
        except BaseException:
            workers.end(in_order=False)
            raise
        workers.end(in_order=True)


@contextmanager
def _joined(
    environment: ClusterEnvironment,
    compute: ComputeConfig,
    launch: LaunchConfig,
    device: str,
    name: str,
    **options: Any,
) -> Iterator[Helpers]:
    from smule_crypten.compute.group import Group

    group = Group(environment, compute, launch, device, name, **options)
    try:
        yield Helpers(group)
    except BaseException:
        group.leave(in_order=False)
        raise
    group.leave()
