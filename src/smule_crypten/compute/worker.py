"""A process of a party other than process 0: it computes its part of every batch, and knows no peer, file or record."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from smule_crypten.compute.library import require_hardware
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import LaunchConfig
from smule_crypten.errors import PartyFailedError, SmuleError

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

    from smule_crypten.compute.group import Group
    from smule_crypten.compute.helpers import ToLearn
    from smule_crypten.training.trainer import Trainer

_LAST_WORDS_SECONDS = 5.0
"""How long one that failed stays, so that process 0 says why before a launcher ends it."""


def work_outside(compute: ComputeConfig, launch: LaunchConfig, device: str, name: str) -> None:
    """As one of the processes that torchrun or srun has started.

    Raises:
        SmuleError: this process or another one failed.
    """
    require_hardware(compute, device)
    from smule_crypten.compute.environment import outer_environment

    _work(outer_environment(), compute, launch, device, name)


def main() -> None:
    """As one of the processes that process 0 has started, which says in the first line of standard input as what."""
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_party, name="party watch", daemon=True).start()
    sys.path[:] = given["path"]
    compute, launch = ComputeConfig(**given["compute"]), LaunchConfig(**given["launch"])
    from smule_crypten.compute.environment import SpawnedEnvironment

    environment = SpawnedEnvironment(Path(given["folder"]), given["rank"], compute.processes)
    try:
        _work(environment, compute, launch, given["device"], given["name"])
    except SmuleError as error:  # process 0 has heard it, and says so
        sys.exit(error.exit_code)


def _end_with_the_party() -> None:
    sys.stdin.read()
    os._exit(PartyFailedError.exit_code)


def _work(
    environment: ClusterEnvironment, compute: ComputeConfig, launch: LaunchConfig, device: str, name: str
) -> None:
    from smule_crypten.compute.group import Group

    torch.set_num_threads(launch.threads)
    group = Group(environment, compute, launch, device, name)
    try:
        _serve(group)
    except BaseException as error:
        if group.watch.has_ended:  # it says why
            return
        is_explained = isinstance(error, SmuleError)
        if not is_explained:
            traceback.print_exc()
        text = str(error) if is_explained else f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        is_consequence = isinstance(error, RuntimeError | PartyFailedError)
        group.watch.tell_failure(f"process {group.rank}: {text}", is_consequence=is_consequence)
        group.leave(in_order=False)
        group.watch.wait_for_end(_LAST_WORDS_SECONDS)
        raise
    group.leave()


def _serve(group: Group) -> None:
    """Until process 0 is through."""
    from smule_crypten.compute.spread_computing import EpochToTrain

    to_learn: ToLearn | None = None
    trainers: dict[int, Trainer] = {}
    """The latest one, by its number."""
    while (message := group.hear()) is not None:
        if isinstance(message, EpochToTrain):
            assert to_learn is not None, "process 0 says first what is to be learned"
            number = message.number
            if number not in trainers:
                trainers = {number: _trainer(group, to_learn, number, is_taught=message.told is not None)}
            trainers[number].load_state_dict({**message.state, "teacher": message.told})
            trainers[number].run_epoch()
        else:
            to_learn, trainers = message, {}


def _trainer(group: Group, to_learn: ToLearn, number: int, *, is_taught: bool) -> Trainer:
    from smule_crypten.compute.spread_computing import SpreadComputing
    from smule_crypten.compute.told import ToldTeacher

    learner = replace(
        to_learn.learner,
        device=group.device,
        computing=lambda: SpreadComputing(group, number, to_learn.sample_ids),
    )
    teacher = None
    if is_taught:
        teacher = ToldTeacher(
            sample_ids=to_learn.sample_ids,
            train=learner.holding.train,
            pool=learner.holding.pool,
            config=learner.training,
            device=learner.device,
            task=learner.task,
        )
    return learner.trainer(learner.network(), teacher)


if __name__ == "__main__":
    main()
