"""How the steps of a training are computed: here in the plainest way; compute/ has the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from smule_crypten.training.teacher import Teacher

Forward = Callable[[torch.Tensor], torch.Tensor]


class InTraining(Protocol):
    """A trainer, as far as others that compute with it hear of it."""

    teacher: Teacher | None

    def state_dict(self) -> dict[str, Any]: ...


class Computing:
    """By this process alone, in float32. One object serves one trainer.

    Where several processes train together, each does the same with its own part of every batch; what they add up is
    what one process would have.
    """

    def another(self) -> Computing:
        """For a second network that is trained beside the first one."""
        return self

    def forward(self, network: nn.Module) -> Forward:
        """From inputs (N, X) to outputs (N, C) in float32, for training steps. Parameters stay those of network."""
        return network

    def epoch(self, trainer: InTraining) -> AbstractContextManager[None]:
        """Around the steps of an epoch, whose state is that of trainer at its beginning."""
        return nullcontext()

    def require(self, smallest_batch: int) -> None:
        """Raise ConfigError where batches are too small to be computed so."""

    def part(self, count: int) -> slice:
        """Which of the `count` samples of a batch are computed here; with those of the other processes, all."""
        return slice(0, count)

    def seed(self, seed: int) -> int:
        """Of what is drawn for the samples of this process's part alone."""
        return seed

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, the same at each."""
        return values

    def backward(self, loss: torch.Tensor, optimizer: Optimizer) -> None:
        """Leave the gradients of the sum of the losses of all processes at the parameters of optimizer."""
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: Optimizer) -> None:
        """Along these gradients."""
        optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Of tensors and plain values; empty where nothing is kept from step to step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


ALONE = Computing()
