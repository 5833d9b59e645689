"""A small party, for tests that need no data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.training.learner import Holding, Learner

CLASSES = 3


def samples(count: int, first_id: int, seed: int) -> Samples:
    """Blobs of four pixels, one a class."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(count) % CLASSES
    inputs_NX = torch.randn(count, 1, 2, 2, generator=generator)
    inputs_NX[torch.arange(count), 0, labels_N // 2, labels_N % 2] += 3.0
    return Samples(inputs_NX, labels_N, torch.arange(first_id, first_id + count))


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES))


def learner(rank: int = 0, **training: Any) -> Learner:
    """48 labelled samples, 12 for validation, 30 for the test."""
    config = {"epochs": 4, "batch_size": 16, "trust": "none", "keep": "best"} | training
    return Learner(
        name="ab"[rank],
        holding=Holding(
            train=samples(48, 1000 * rank, seed=rank),
            validation=samples(12, 1000 * rank + 100, seed=10 + rank),
            pool=samples(0, 0, seed=0).without_labels(),
            test=samples(30, 500, seed=20),
        ),
        training=TrainingConfig.model_validate(config),
        num_classes=CLASSES,
        build=lambda copy: network(rank + 100 * copy),
        seed=rank,
        device=torch.device("cpu"),
    )
