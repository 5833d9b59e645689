"""Training steps that all processes of a party compute together, each with its part of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from smule_crypten.compute.batch_norm import normalizes_batches, over_all_parts
from smule_crypten.compute.own_computing import OwnComputing
from smule_crypten.errors import ConfigError
from smule_crypten.training.computing import Computing, Forward, InTraining

if TYPE_CHECKING:
    from smule_crypten.compute.group import Group


@dataclass(frozen=True, kw_only=True)
class EpochToTrain:
    """What process 0 says of an epoch: which of its trainers it is of, and that one's state; told, of its teacher."""

    number: int
    state: dict[str, Any]
    told: dict[str, Any] | None


class SpreadComputing(OwnComputing):
    """Sums over the processes stand for those over the batch; what is drawn for a batch is drawn for all of it.

    Args:
        number: of the trainer.
        sample_ids: of all samples that soft labels can speak of.
    """

    def __init__(self, group: Group, number: int, sample_ids: torch.Tensor) -> None:
        super().__init__(group.compute, group.device)
        self._group, self._number, self._sample_ids = group, number, sample_ids

    def another(self) -> Computing:
        return SpreadComputing(self._group, self._number, self._sample_ids)

    def forward(self, network: nn.Module) -> Forward:
        call = super().forward(network)
        if not normalizes_batches(network):
            return call
        if self._config.compile:
            raise ConfigError(
                "compute.compile: a network with BatchNorm cannot be compiled for several processes; set "
                "compute.compile=false or compute.devices=1"
            )

        def forward(inputs_NX: torch.Tensor) -> torch.Tensor:
            with over_all_parts(network, self._group.total):
                return call(inputs_NX)

        return forward

    @contextmanager
    def epoch(self, trainer: InTraining) -> Iterator[None]:
        if self._group.rank == 0:
            told = None if trainer.teacher is None else trainer.teacher.told(self._sample_ids)
            self._group.say(EpochToTrain(number=self._number, state=trainer.state_dict(), told=told))
        with self._group.in_step():
            yield

    def require(self, smallest_batch: int) -> None:
        if smallest_batch < self._group.size:
            raise ConfigError(
                f"training.batch_size: a batch of {smallest_batch} samples has none for some of the "
                f"{self._group.size} processes; raise it or lower compute.devices"
            )

    def part(self, count: int) -> slice:
        rank, size = self._group.rank, self._group.size
        return slice(rank * count // size, (rank + 1) * count // size)

    def seed(self, seed: int) -> int:
        return seed + self._group.rank

    def total(self, values: torch.Tensor) -> torch.Tensor:
        return self._group.total(values)

    def _gathered(self, optimizer: Optimizer) -> None:
        """All gradients in one sum: networks that are evaluated securely are small."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        summed = self._group.total(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(summed, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))
