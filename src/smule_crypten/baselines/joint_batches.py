"""How two parties contribute to the batches of a training on shares: public counts, private samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.config.sections import OptimizerConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.training.augmentation import drawn
from smule_crypten.training.optimizer import build_optimizer


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """parts: samples of party a and party b in every batch, in the ratio of what they have."""

    parts: tuple[int, int]
    steps_per_epoch: int
    epochs: int

    @property
    def batch(self) -> int:
        return sum(self.parts)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs

    @classmethod
    def of(cls, config: TrainingConfig, num_samples: tuple[int, int]) -> BatchPlan:
        """As many steps as a training on the pooled data takes, to the nearest whole batch.

        Raises:
            ConfigError: a batch cannot hold a sample of each party.
        """
        batch, total = config.batch_size, sum(num_samples)
        if batch < 2:
            raise ConfigError("training.batch_size: a batch of both parties holds at least 2 samples")
        part_a = min(max(round(batch * num_samples[0] / total), 1), batch - 1)
        steps = config.steps_per_epoch or max(1, round(total / batch))
        return cls(parts=(part_a, batch - part_a), steps_per_epoch=steps, epochs=config.epochs)


def learning_rates(config: OptimizerConfig, steps: int) -> list[float]:
    """The public learning rate of every step, by the schedule that plaintext training uses.

    Raises:
        ConfigError: an optimizer that divides by secret statistics.
    """
    if config.name != "sgd":
        raise ConfigError(
            f"training.optimizer.name={config.name}: full training on shares knows SGD only, since others divide by "
            "statistics of secret gradients; set training.optimizer.name=sgd"
        )
    optimizer, scheduler = build_optimizer(nn.Linear(1, 1), config, steps)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def own_parts(
    train: Samples, size: int, config: TrainingConfig, num_classes: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """This party's part of one batch after another: images as they are augmented, and one-hot labels; without end.

    Every sample is used once before any is used again.
    """
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(len(train), generator=generator)])
        chosen, waiting = waiting[:size], waiting[size:]
        images = drawn(train.inputs, train.copies, chosen, config.augmentation, generator)
        yield images, F.one_hot(train.targets[chosen], num_classes).float()
