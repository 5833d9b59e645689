"""The number of steps per epoch, and whether a network can take them with these samples."""

from __future__ import annotations

import math

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.models.modules import copied, has_trainable


def steps_per_epoch(config: TrainingConfig, num_samples: int) -> int:
    return config.steps_per_epoch or math.ceil(num_samples / config.batch_size)


def num_drawn(config: TrainingConfig, num_samples: int) -> int:
    """Samples of an epoch, each counted as often as it is drawn."""
    if config.steps_per_epoch is None:
        return num_samples
    return config.steps_per_epoch * min(config.batch_size, num_samples)


def even_batches(num_samples: int, wanted: int, steps: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """`wanted` positions of samples in random order, pass after pass, in batches of nearly the same size.

    Equal batches rather than a small last one: it would weigh its samples more, and batch normalization cannot train on
    a batch of one.
    """
    passes = [torch.randperm(num_samples, generator=generator) for _ in range(math.ceil(wanted / num_samples))]
    return torch.tensor_split(torch.cat(passes)[:wanted], steps)


def feasible_steps(model: nn.Module, train: Samples, config: TrainingConfig) -> int:
    """The steps of an epoch of this network.

    Where a step would have a single sample, and the network cannot learn from one because it normalizes over the batch,
    that sample joins another batch: a step less.

    Raises:
        DataError: train holds fewer samples than a batch, or inputs that are not normalized.
        ConfigError: all batches hold one sample, and the network cannot learn from one.
    """
    if len(train) < config.batch_size:
        raise DataError(
            f"training.batch_size={config.batch_size} is more than the {len(train)} training samples of this "
            f"party; lower training.batch_size, or give the party more data (a simulation: partition=iid)"
        )
    if not train.dtype.is_floating_point:
        raise DataError(f"training inputs are {train.dtype}; pass train.normalized(mean, std)")
    steps = steps_per_epoch(config, len(train))
    drawn = num_drawn(config, len(train))
    if drawn // steps > 1 or not has_trainable(model) or _learns_from_one(model, train.read(torch.arange(1))):
        return steps
    if config.batch_size == 1:
        raise ConfigError(
            "training.batch_size=1: the network normalizes over the batch (BatchNorm) and cannot learn from a single "
            "sample; set training.batch_size to 2 or more, or use a network without BatchNorm"
        )
    return drawn // 2


def _learns_from_one(model: nn.Module, input_1X: torch.Tensor) -> bool:
    """Whether PyTorch's normalization layers take a batch of one in training mode; model is left as it is."""
    trained = copied(model).cpu().train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            trained(input_1X.cpu())
        except ValueError as error:
            return "more than 1 value per channel" not in str(error)
    return True
