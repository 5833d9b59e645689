"""A party of two processes: this one and a forked one, with networks and peers that both can make."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.compute.environment import SpawnedEnvironment
from smule_crypten.compute.group import Group
from smule_crypten.compute.helpers import Helpers
from smule_crypten.compute.worker import _work
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import LaunchConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.fork_server import process_context, start
from smule_crypten.training.learner import Holding, Learner
from smule_crypten.types import SoftLabels

TWO = ComputeConfig(devices=2)
LAUNCH = LaunchConfig(deadline_seconds=20.0)
WORKER = "compute worker"
CLASSES = 3


@contextlib.contextmanager
def two_processes(folder: Path, compute: ComputeConfig = TWO, launch: LaunchConfig = LAUNCH) -> Iterator[Helpers]:
    """Process 0, in this process; the other one is ended with it."""
    process = process_context().Process(target=work_beside, args=(folder, compute, launch), name=WORKER)
    start(process)

    def ended() -> str | None:
        code = process.exitcode
        return None if code is None else f"process 1 ended with {code}"

    try:
        group = Group(SpawnedEnvironment(folder, 0, 2), compute, launch, "cpu", "a", ended)
        try:
            yield Helpers(group)
        finally:
            group.leave()
        process.join(10)
    finally:
        process.kill()
        process.join()


def work_beside(folder: Path, compute: ComputeConfig, launch: LaunchConfig) -> None:
    """Process 1, until it is told that nothing is left to do."""
    _work(SpawnedEnvironment(folder, 1, 2), compute, launch, "cpu", "a")


def blobs(count: int, first_id: int) -> Samples:
    """Images of 1x4x4, noise with a bright row that is the class."""
    generator = torch.Generator().manual_seed(first_id)
    labels_N = torch.arange(count) % CLASSES
    inputs_NX = torch.randn(count, 1, 4, 4, generator=generator)
    inputs_NX[torch.arange(count), 0, labels_N] += 1.5
    return Samples(inputs_NX, labels_N, torch.arange(first_id, first_id + count))


class Peer:
    """Answers about every second sample what follows from its id."""

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = (sample_ids % 2 == 0).nonzero().squeeze(1)
        if len(positions) == 0:
            return None
        ids = sample_ids[positions]
        logits_NC = torch.stack([(ids * (label + 3) % 7).float() for label in range(CLASSES)], dim=1)
        return SoftLabels(positions=positions, logits_NC=logits_NC, model_step=torch.zeros_like(ids))


def convnet(copy: int = 0, *, batch_norm: bool = True) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7 + copy)
        norm: nn.Module = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES))


class Failing(nn.Module):
    """Works in process 0; anywhere else it does something else at its second call."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear = nn.Linear(16, CLASSES)
        self._how, self._calls = how, 0

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        self._calls += 1
        if multiprocessing.current_process().name == WORKER and self._calls == 2:
            if self._how == "raises":
                raise KeyError("no such row")
            os.kill(os.getpid(), {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}[self._how])
        outputs_NC: torch.Tensor = self.linear(inputs_NX.flatten(1))
        return outputs_NC


def failing(how: str, copy: int = 0) -> nn.Module:
    return Failing(how)


def learner(build: Callable[[int], nn.Module] = convnet, num_train: int = 47, **training: Any) -> Learner:
    """An odd number of labelled samples, whose batches are odd as well, beside a pool and a validation part."""
    config = {"epochs": 3, "batch_size": 16, "pool_batch": 7, "optimizer": {"learning_rate": 0.05}} | training
    return Learner(
        name="a",
        holding=Holding(
            train=blobs(num_train, 100),
            validation=blobs(20, 300),
            pool=blobs(23, 400).without_labels(),
            test=blobs(30, 500),
        ),
        training=TrainingConfig.model_validate(config),
        num_classes=CLASSES,
        build=build,
        seed=3,
        device=torch.device("cpu"),
    )


without_batch_norm = partial(convnet, batch_norm=False)
